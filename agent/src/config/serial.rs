//! The lists `[[serial]]` and `[[shelf_controllers]]`: shelves on serial lines.

use crate::{
    capture::serial::{Controller, Framing, Pattern, Port, Protocol, ScaleSettings, Settle, Setup, Unit},
    document::{Report, Table},
};
use std::{collections::HashSet, ops::Range};
use vitrine_protocol::{
    Id,
    shelf::{CHANNELS_MAX, ChannelConfig, TEXT_MAX, Text},
};

const BAUD_VITRINE: u32 = 115_200;
const BAUD_SCALE: u32 = 9_600;
const BAUDS: [u32; 11] =
    [1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600];
const QUESTION_MAX: usize = 32;
/// A facing's name that stands for none.
const NO_FACING: &str = "-";

/// Takes both lists out of the file.
pub(super) fn read(table: &mut Table<'_>, report: &mut Report) -> Setup {
    let (mut setup, mut places) = (Setup::default(), Places::default());
    for controller in table.tables("shelf_controllers", report) {
        let span = controller.span.clone();
        let Some(controller) = read_controller(controller, report) else { continue };
        if setup.controllers.iter().any(|other| other.serial_number == controller.serial_number) {
            let serial_number = controller.serial_number;
            report.at(span.clone(), format!("controller {serial_number} is there already: write each once"));
        }
        places.add(controller.places(), &span, report);
        setup.controllers.push(controller);
    }
    for port in table.tables("serial", report) {
        let span = port.span.clone();
        let Some(port) = read_port(port, report) else { continue };
        if setup.ports.iter().any(|other| other.path == port.path) {
            let path = port.path.display();
            report.at(span.clone(), format!("{path} is there already: write each port once"));
        } else if port.protocol == Protocol::Vitrine && setup.controllers.is_empty() {
            report.at(
                span.clone(),
                "no controller may speak on this port: add [[shelf_controllers]] with serial_number, shelf and facings",
            );
        }
        places.add(port.places(), &span, report);
        setup.ports.push(port);
    }
    setup
}

/// The facings that are measured, each to be named once.
#[derive(Default)]
struct Places(HashSet<(Id, Id)>);

impl Places {
    fn add(&mut self, new: impl Iterator<Item = (Id, Id)>, span: &Range<usize>, report: &mut Report) {
        for (shelf, facing) in new {
            if !self.0.insert((shelf, facing)) {
                report.at(
                    span.clone(),
                    format!("facing `{facing}` of `{shelf}` is measured twice: name it once"),
                );
            }
        }
    }
}

fn read_controller(mut table: Table<'_>, report: &mut Report) -> Option<Controller> {
    if !table.has("serial_number") {
        report.at(
            table.span.clone(),
            "a shelf controller needs `serial_number`: write it as the controller tells it, in quotes",
        );
    }
    let serial_number = table.converted("serial_number", report, |text| {
        Text::from(text)
            .map_err(|_| format!("write at most {TEXT_MAX} characters, as the controller tells it"))
    });
    let shelf = table.required::<Id>("shelf", report);
    let facings = table.required::<Vec<Id>>("facings", report);
    if let Some(facings) = &facings
        && !(1..=CHANNELS_MAX).contains(&facings.get_ref().len())
    {
        report.at(
            facings.span(),
            format!(
                "`facings` has one for each channel, from channel 0: 1 to {CHANNELS_MAX}, \"-\" for none"
            ),
        );
    }
    let settings = table.table("settings", report).map(|settings| read_settings(settings, report));
    table.finish(report);
    let facings = facings?.into_inner().into_iter();
    Some(Controller {
        serial_number: serial_number?,
        shelf: shelf?.into_inner(),
        facings: facings.map(|facing| (facing.as_str() != NO_FACING).then_some(facing)).collect(),
        settings,
    })
}

fn read_settings(mut table: Table<'_>, report: &mut Report) -> ChannelConfig {
    let settings = ChannelConfig {
        sample_ms: table.or("sample_ms", 100, report),
        report_s: table.or("report_s", 10, report),
        settle_ms: table.or("settle_ms", 500, report),
        tolerance: table.or("tolerance", 5, report),
        step: table.or("step", 20, report),
    };
    if settings.sample_ms == 0 {
        report.at(table.span.clone(), "`sample_ms` of 0 measures nothing: write at least 1");
    }
    table.finish(report);
    settings
}

fn read_port(mut table: Table<'_>, report: &mut Report) -> Option<Port> {
    let path = table.required::<String>("port", report);
    let is_scale =
        table.required::<String>("protocol", report).and_then(|protocol| match protocol.get_ref().as_str() {
            "vitrine" => Some(false),
            "scale" => Some(true),
            _ => {
                report.at(protocol.span(), "`protocol` must be \"vitrine\" or \"scale\"");
                None
            }
        });
    let default = if is_scale == Some(true) { BAUD_SCALE } else { BAUD_VITRINE };
    let baud = table.optional::<u32>("baud", report);
    if let Some(baud) = &baud
        && !BAUDS.contains(baud.get_ref())
    {
        report.at(
            baud.span(),
            format!("`baud` must be one of {}", BAUDS.map(|baud| baud.to_string()).join(", ")),
        );
    }
    let framing = table.converted("framing", report, |text| {
        Framing::parse(text)
            .ok_or_else(|| "write data bits, parity and stop bits, such as \"8N1\" or \"7E1\"".into())
    });
    let protocol = match is_scale {
        Some(true) => read_scale(&mut table, report).map(Protocol::Scale),
        Some(false) => Some(Protocol::Vitrine),
        // What belongs to it cannot be told from what does not.
        None => return None,
    };
    table.finish(report);
    Some(Port {
        path: path?.into_inner().into(),
        baud: baud.map_or(default, toml::Spanned::into_inner),
        framing: framing.unwrap_or(Framing::DEFAULT),
        protocol: protocol?,
    })
}

fn read_scale(table: &mut Table<'_>, report: &mut Report) -> Option<ScaleSettings> {
    let shelf = table.required::<Id>("shelf", report);
    let facing = table.required::<Id>("facing", report);
    if !table.has("pattern") {
        report.at(
            table.span.clone(),
            "a scale needs `pattern`: write how its lines look, such as pattern = \"{weight} {unit}\"",
        );
    }
    let pattern = table.converted("pattern", report, Pattern::parse);
    let stable = table.optional::<String>("stable", report).map(toml::Spanned::into_inner);
    if let Some(pattern) = &pattern
        && pattern.has_stable() != stable.is_some()
    {
        report.at(
            table.span.clone(),
            "write both or none: `{stable}` in `pattern`, and what stands there when the weight is at rest, such as stable = \"ST\"",
        );
    }
    let unit = table.converted("unit", report, |name| {
        Unit::parse(name).ok_or_else(|| "write \"g\", \"kg\", \"lb\" or \"oz\"".into())
    });
    let question = table.converted("poll", report, |text| match text.len() {
        1..=QUESTION_MAX => Ok(text.to_owned()),
        _ => Err(format!(
            "write what the scale is asked with, 1 to {QUESTION_MAX} characters, such as \"W\\r\\n\""
        )),
    });
    let poll_ms = table.or("poll_ms", 500, report);
    let poll_ms = if poll_ms < 50 {
        report.at(table.span.clone(), "`poll_ms` must be at least 50");
        500
    } else {
        poll_ms
    };
    let settle = Settle {
        tolerance_g: table.or("tolerance_g", 5, report),
        settle_ms: table.or("settle_ms", 1000, report),
    };
    let silent_after_s = table.or("silent_after_s", 60u32, report);
    Some(ScaleSettings {
        shelf: shelf?.into_inner(),
        facing: facing?.into_inner(),
        pattern: pattern?,
        stable,
        unit: unit.unwrap_or(Unit::Gram),
        poll: question.map(|question| (question, poll_ms)),
        settle,
        silent_after_ms: u64::from(silent_after_s) * 1000,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document;
    use expect_test::expect;
    use std::path::Path;

    fn parse(text: &str) -> Result<Setup, document::Problems> {
        document::parse(Path::new("gateway.toml"), text, |table, report| {
            let setup = read(table, report);
            table.finish(report);
            Some(setup)
        })
    }

    /// The commented examples of the reference file.
    fn examples() -> String {
        let reference = include_str!("../../../deploy/config/gateway.toml");
        let lines = reference.lines().skip_while(|line| !line.starts_with("# [[serial]]"));
        let lines = lines.filter_map(|line| line.strip_prefix("# "));
        lines.filter(|line| line.starts_with('[') || line.contains(" = ")).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_reference_files_examples_are_read_and_measure_its_plan() {
        let setup = parse(&examples()).unwrap();
        assert_eq!((setup.ports.len(), setup.controllers.len()), (2, 1), "{}", examples());
        let plan = crate::plan::parse(include_str!("../../../deploy/config/store.toml")).unwrap();
        let places: Vec<_> = setup.places().collect();
        assert_eq!(places.len(), 3);
        assert!(places.iter().all(|(place, _)| plan.facings.contains_key(place)), "{places:?}");
        let [vitrine, scale] = &setup.ports[..] else { panic!() };
        assert_eq!((vitrine.baud, vitrine.framing), (115_200, Framing::DEFAULT));
        assert_eq!((scale.baud, scale.framing), (2_400, Framing::parse("7E1").unwrap()));
        let Protocol::Scale(scale) = &scale.protocol else { panic!() };
        assert!(scale.pattern.has_stable() && scale.poll.is_some());
    }

    #[test]
    fn what_is_not_said_has_sensible_defaults() {
        let text = "[[serial]]\nport = '/dev/ttyUSB0'\nprotocol = 'scale'\nshelf = 's'\nfacing = 'f'\npattern = '{weight}'\n";
        let setup = parse(text).unwrap();
        let Protocol::Scale(scale) = &setup.ports[0].protocol else { panic!() };
        assert_eq!((setup.ports[0].baud, scale.unit, scale.silent_after_ms), (9_600, Unit::Gram, 60_000));
        assert_eq!((&scale.poll, &scale.stable), (&None, &None));
        let text = "[[shelf_controllers]]\nserial_number = 'VS-1'\nshelf = 's'\nfacings = ['a', '-', 'b']\n";
        let [controller] = &parse(text).unwrap().controllers[..] else { panic!() };
        assert_eq!(controller.facings, [Some(Id::new("a").unwrap()), None, Some(Id::new("b").unwrap())]);
        assert_eq!(controller.settings, None);
    }

    #[test]
    fn every_problem_is_told_with_its_remedy() {
        let text = "
[[serial]]
port = '/dev/ttyUSB0'
protocol = 'vitrine'
baud = 9601
framing = '9N1'
pattern = 'x'
[[serial]]
protocol = 'scales'
[[serial]]
port = '/dev/ttyUSB1'
protocol = 'scale'
shelf = 's1'
facing = 'F'
pattern = '{stable} {weight'
[[serial]]
port = '/dev/ttyUSB1'
protocol = 'scale'
shelf = 's1'
facing = 'a'
pattern = '{stable} {weight}'
unit = 'stone'
poll = ''
poll_ms = 1
[[serial]]
port = '/dev/ttyUSB1'
protocol = 'scale'
shelf = 's1'
facing = 'a'
pattern = '{weight}'
[[shelf_controllers]]
serial_number = 'a serial number of more than 32 characters'
shelf = 's1'
facings = []
settings = { sample_ms = 0, samples = 1 }
[[shelf_controllers]]
shelf = 's2'
[[shelf_controllers]]
serial_number = 'VS-1'
shelf = 's3'
facings = ['a', 'a']
[[shelf_controllers]]
serial_number = 'VS-1'
shelf = 's3'
facings = ['b']
";
        expect![[r#"
            gateway.toml:5:8: `baud` must be one of 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600
            gateway.toml:6:11: `framing`: write data bits, parity and stop bits, such as "8N1" or "7E1"
            gateway.toml:7:1: unknown key `pattern`: [[serial]] knows port, protocol, baud, framing
            gateway.toml:8:1: [[serial]] lacks `port`: write port = a text in quotes
            gateway.toml:9:12: `protocol` must be "vitrine" or "scale"
            gateway.toml:14:10: `facing` must be a name of 1 to 40 characters out of a-z, 0-9, _ and -, in quotes
            gateway.toml:15:11: `pattern`: a `{` needs its `}`
            gateway.toml:16:1: `poll_ms` must be at least 50
            gateway.toml:16:1: write both or none: `{stable}` in `pattern`, and what stands there when the weight is at rest, such as stable = "ST"
            gateway.toml:22:8: `unit`: write "g", "kg", "lb" or "oz"
            gateway.toml:23:8: `poll`: write what the scale is asked with, 1 to 32 characters, such as "W\r\n"
            gateway.toml:25:1: /dev/ttyUSB1 is there already: write each port once
            gateway.toml:25:1: facing `a` of `s1` is measured twice: name it once
            gateway.toml:32:17: `serial_number`: write at most 32 characters, as the controller tells it
            gateway.toml:34:11: `facings` has one for each channel, from channel 0: 1 to 16, "-" for none
            gateway.toml:35:12: `sample_ms` of 0 measures nothing: write at least 1
            gateway.toml:35:29: unknown key `samples`: did you mean `sample_ms`?
            gateway.toml:36:1: [[shelf_controllers]] lacks `facings`: write facings = a list in brackets
            gateway.toml:36:1: a shelf controller needs `serial_number`: write it as the controller tells it, in quotes
            gateway.toml:38:1: facing `a` of `s3` is measured twice: name it once
            gateway.toml:42:1: controller VS-1 is there already: write each once"#]].assert_eq(&parse(text).unwrap_err().to_string());
    }
}
