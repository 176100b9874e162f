//! The terminal: the table is drawn over itself on the alternate screen, which is left when this is dropped.

use super::render::{Line, Style};
use std::io::{self, IsTerminal, Write};

const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
const PLAIN: &str = "\x1b[0m";
/// Where a terminal doesn't tell its size.
const USUAL: (usize, usize) = (80, 24);

/// The alternate screen.
pub(super) struct Screen(());

impl Screen {
    /// Enters it; `None` where there is no terminal.
    pub(super) fn enter() -> io::Result<Option<Self>> {
        if !io::stdout().is_terminal() {
            return Ok(None);
        }
        write(ENTER)?;
        Ok(Some(Self(())))
    }

    /// Draws lines over what was drawn before.
    pub(super) fn draw(&self, lines: &[Line]) -> io::Result<()> {
        let mut text = HOME.to_owned();
        for (place, line) in lines.iter().enumerate() {
            if place > 0 {
                text += "\r\n";
            }
            text += &styled(line);
            text += CLEAR_LINE;
        }
        text += CLEAR_BELOW;
        write(&text)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal may be gone; then nobody sees it either.
        write(LEAVE).ok();
    }
}

/// Columns and rows of the terminal.
#[allow(unsafe_code, reason = "the terminal's size has no safe wrapper in the libraries we use")]
pub(super) fn size() -> (usize, usize) {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ fills in the `winsize` that it is given, which outlives the call.
    let told = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) } == 0;
    match (usize::from(size.ws_col), usize::from(size.ws_row)) {
        (columns, rows) if told && columns > 0 && rows > 0 => (columns, rows),
        _ => USUAL,
    }
}

fn styled(line: &Line) -> String {
    let on = match line.style {
        Style::Title => "\x1b[1m",
        Style::Head => "\x1b[4m",
        Style::Live => return line.text.clone(),
        Style::Faint => "\x1b[2m",
        Style::Warning => "\x1b[33m",
    };
    format!("{on}{}{PLAIN}", line.text)
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
