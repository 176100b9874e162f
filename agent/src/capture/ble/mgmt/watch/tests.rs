use super::*;
use expect_test::{Expect, expect};

const POWERED: Settings = Settings { is_powered: true, has_le: true };
const OFF: Settings = Settings { is_powered: false, has_le: true };

/// A watch and the text of what it did.
struct Script {
    watch: Watch,
    now_ms: u64,
    text: String,
}

impl Script {
    fn start() -> Self {
        let mut script = Self { watch: Watch::new(Id::new("door").unwrap()), now_ms: 0, text: String::new() };
        let actions = script.watch.start(0);
        script.note(actions);
        script
    }

    /// One that listens, with a monitor of its own. What it did until then is not in the text.
    fn listening() -> Self {
        let mut script = Self::start();
        script.info(POWERED).monitors(0);
        script.answer(Command::AddMonitor, Status::Success, &[7, 0]);
        script.answer(Command::StartDiscovery, Status::Success, &[]);
        script.event(Event::Discovering(true));
        script.text.clear();
        script
    }

    fn note(&mut self, actions: Vec<Action>) {
        for action in actions {
            let text = match action {
                Action::Send(command) => format!("{command:?}"),
                Action::Notice(Notice::Radio { state, .. }) => format!("is {state:?}"),
                Action::Notice(Notice::Recovered { cause, .. }) => format!("recovered: {cause}"),
                Action::Notice(Notice::Duplicates { filtered, .. }) => {
                    format!("duplicates filtered: {filtered}")
                }
                other => format!("{other:?}"),
            };
            self.text += &format!("{} ms: {text}\n", self.now_ms);
        }
    }

    fn event(&mut self, event: Event<'_>) -> &mut Self {
        let actions = self.watch.handle(event, self.now_ms);
        self.note(actions);
        self
    }

    fn answer(&mut self, command: Command, status: Status, parameters: &[u8]) -> &mut Self {
        self.event(Event::Answer { opcode: command.opcode(), status, parameters })
    }

    fn info(&mut self, settings: Settings) -> &mut Self {
        let bits = u32::from(settings.is_powered) | u32::from(settings.has_le) << 9;
        let parameters = [&[0; 13][..], &bits.to_le_bytes(), &[0; 263]].concat();
        self.answer(Command::ReadInfo, Status::Success, &parameters)
    }

    fn monitors(&mut self, count: u8) -> &mut Self {
        self.answer(Command::ReadMonitors, Status::Success, &[&[0; 11][..], &[count, 0]].concat())
    }

    /// Time passes, a tick each 100 ms.
    fn pass(&mut self, ms: u64) -> &mut Self {
        for _ in 0..ms / 100 {
            self.now_ms += 100;
            let actions = self.watch.tick(self.now_ms);
            self.note(actions);
        }
        self
    }

    fn check(&self, expected: Expect) {
        expected.assert_eq(&self.text);
    }
}

#[test]
fn it_adds_a_monitor_and_begins_each_discovery_anew() {
    let mut script = Script::start();
    script.info(POWERED).monitors(0);
    script.answer(Command::AddMonitor, Status::Success, &[7, 0]);
    script.answer(Command::StartDiscovery, Status::Success, &[]);
    script.event(Event::Discovering(true)).pass(10_200);
    script.event(Event::Discovering(false)).answer(Command::StartDiscovery, Status::Success, &[]);
    script.event(Event::Discovering(true));
    script.check(expect![[r#"
        0 ms: ReadInfo
        0 ms: ReadMonitors
        0 ms: AddMonitor
        0 ms: duplicates filtered: false
        0 ms: StartDiscovery
        0 ms: is Scanning
        10200 ms: StartDiscovery
    "#]]);
    assert_eq!(script.watch.leave(), [Command::StopDiscovery, Command::RemoveMonitor(7)]);
}

#[test]
fn a_monitor_of_others_serves_as_well() {
    let mut script = Script::start();
    script.info(POWERED).monitors(1).answer(Command::StartDiscovery, Status::Success, &[]);
    script.check(expect![[r#"
        0 ms: ReadInfo
        0 ms: ReadMonitors
        0 ms: duplicates filtered: false
        0 ms: StartDiscovery
        0 ms: is Scanning
    "#]]);
    assert_eq!(script.watch.leave(), [Command::StopDiscovery]);
}

#[test]
fn a_kernel_without_monitors_filters_duplicates() {
    let mut script = Script::start();
    script.info(POWERED).answer(Command::ReadMonitors, Status::Failed(1), &[]);
    script.answer(Command::StartDiscovery, Status::Success, &[]);
    script.check(expect![[r#"
        0 ms: ReadInfo
        0 ms: ReadMonitors
        0 ms: duplicates filtered: true
        0 ms: StartDiscovery
        0 ms: is Scanning
    "#]]);
}

#[test]
fn a_monitor_that_bluetoothd_removes_when_it_starts_is_added_again() {
    let mut script = Script::listening();
    script.pass(1000).event(Event::MonitorRemoved).monitors(0);
    script.answer(Command::AddMonitor, Status::Success, &[8, 0]);
    script.answer(Command::StopDiscovery, Status::Success, &[]).event(Event::Discovering(false));
    script.check(expect![[r#"
        1000 ms: ReadMonitors
        1000 ms: AddMonitor
        1000 ms: StopDiscovery
        1000 ms: StartDiscovery
    "#]]);
}

#[test]
fn what_is_switched_off_stays_off_until_it_is_on() {
    let mut script = Script::listening();
    // The discovery ends first.
    script.pass(1000).event(Event::Discovering(false));
    script.answer(Command::StartDiscovery, Status::NotPowered, &[]).event(Event::Settings(OFF));
    script.pass(400).info(OFF).pass(5000).info(OFF);
    script.event(Event::Settings(POWERED)).info(POWERED).monitors(1);
    script.answer(Command::StartDiscovery, Status::Success, &[]);
    script.check(expect![[r#"
        1000 ms: StartDiscovery
        1300 ms: ReadInfo
        1400 ms: is Off
        6400 ms: ReadInfo
        6400 ms: ReadInfo
        6400 ms: ReadMonitors
        6400 ms: StartDiscovery
        6400 ms: is Scanning
        6400 ms: recovered: the adapter was off
    "#]]);
}

#[test]
fn an_adapter_that_is_pulled_is_absent_until_it_is_back() {
    let mut script = Script::listening();
    script.event(Event::Settings(OFF)).event(Event::Removed).pass(3000);
    assert_eq!(script.watch.leave(), []);
    // bluetoothd powers it a moment later.
    script.event(Event::Added).info(OFF).event(Event::Settings(POWERED)).info(POWERED).monitors(0);
    script.answer(Command::AddMonitor, Status::Success, &[1, 0]);
    script.answer(Command::StartDiscovery, Status::Success, &[]);
    script.check(expect![[r#"
        0 ms: is Absent
        3000 ms: ReadInfo
        3000 ms: is Off
        3000 ms: ReadInfo
        3000 ms: ReadMonitors
        3000 ms: AddMonitor
        3000 ms: StartDiscovery
        3000 ms: is Scanning
        3000 ms: recovered: the adapter was gone
    "#]]);
}

#[test]
fn an_adapter_that_is_not_there_is_looked_for() {
    let mut script = Script::start();
    script.answer(Command::ReadInfo, Status::NoController, &[]).pass(5000);
    script.answer(Command::ReadInfo, Status::NoController, &[]).pass(5000);
    script.check(expect![[r#"
        0 ms: ReadInfo
        0 ms: is Absent
        5000 ms: ReadInfo
        10000 ms: ReadInfo
    "#]]);
}

#[test]
fn another_programs_discovery_serves_as_well() {
    let mut script = Script::start();
    script.info(POWERED).monitors(1).answer(Command::StartDiscovery, Status::Busy, &[]);
    script.pass(2000).answer(Command::StartDiscovery, Status::Busy, &[]);
    script.pass(1000).event(Event::Discovering(false));
    script.answer(Command::StartDiscovery, Status::Success, &[]).pass(3000);
    script.check(expect![[r#"
        0 ms: ReadInfo
        0 ms: ReadMonitors
        0 ms: duplicates filtered: false
        0 ms: StartDiscovery
        0 ms: is Scanning
        2000 ms: StartDiscovery
        3000 ms: StartDiscovery
    "#]]);
}

#[test]
fn a_discovery_that_does_not_last_is_not_begun_in_a_hurry() {
    let mut script = Script::listening();
    script.event(Event::Discovering(false)).pass(500);
    script.answer(Command::StartDiscovery, Status::Success, &[]);
    script.check(expect![[r#"
        500 ms: StartDiscovery
    "#]]);
}

#[test]
fn failures_are_tried_again_less_and_less_often() {
    let mut script = Script::listening();
    script.pass(600).event(Event::Discovering(false));
    for wait_ms in [1000, 2000, 4000] {
        script.answer(Command::StartDiscovery, Status::Failed(3), &[]);
        script.pass(wait_ms).info(POWERED).monitors(1);
    }
    script.answer(Command::StartDiscovery, Status::Success, &[]);
    script.check(expect![[r#"
        600 ms: StartDiscovery
        600 ms: is Failing
        600 ms: Warn("the kernel refused to scan")
        1600 ms: ReadInfo
        1600 ms: ReadMonitors
        1600 ms: StartDiscovery
        3600 ms: ReadInfo
        3600 ms: ReadMonitors
        3600 ms: StartDiscovery
        7600 ms: ReadInfo
        7600 ms: ReadMonitors
        7600 ms: StartDiscovery
        7600 ms: is Scanning
        7600 ms: recovered: the scan failed
    "#]]);
}

#[test]
fn low_energy_that_is_off_is_told_with_the_remedy() {
    let mut script = Script::start();
    script.info(Settings { has_le: false, ..POWERED }).event(Event::Settings(POWERED));
    script.check(expect![[r#"
        0 ms: ReadInfo
        0 ms: is Failing
        0 ms: Warn("the adapter's low energy is off: `btmgmt le on`")
        0 ms: ReadInfo
    "#]]);
}

#[test]
fn a_kernel_that_does_not_answer_gets_a_new_socket() {
    let mut script = Script::listening();
    script.pass(600).event(Event::Discovering(false)).pass(5200);
    let actions = script.watch.start(script.now_ms);
    script.note(actions);
    script.info(POWERED).monitors(1).answer(Command::StartDiscovery, Status::Success, &[]);
    script.check(expect![[r#"
        600 ms: StartDiscovery
        5700 ms: is Failing
        5700 ms: Reopen
        5800 ms: Reopen
        5800 ms: ReadInfo
        5800 ms: ReadMonitors
        5800 ms: StartDiscovery
        5800 ms: is Scanning
        5800 ms: recovered: the kernel did not answer
    "#]]);
}

#[test]
fn silence_is_asked_about() {
    let mut script = Script::listening();
    script.pass(20_000);
    script.watch.heard(script.now_ms);
    script.pass(25_200).info(POWERED).monitors(1).answer(Command::StartDiscovery, Status::Busy, &[]);
    script.check(expect![[r#"
        45100 ms: is Failing
        45100 ms: ReadInfo
        45200 ms: ReadMonitors
        45200 ms: StartDiscovery
        45200 ms: is Scanning
        45200 ms: recovered: the kernel fell silent
    "#]]);
}

#[test]
fn what_may_not_be_done_is_given_up() {
    let mut script = Script::start();
    script.info(POWERED).answer(Command::ReadMonitors, Status::NoPermission, &[]);
    script.check(expect![[r#"
        0 ms: ReadInfo
        0 ms: ReadMonitors
        0 ms: Forbidden
    "#]]);
}
