//! rumqttd as a program: `rumqttd FILE.toml`. A test can kill it, as it could not within its own process.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: rumqttd FILE.toml")?;
    let config: rumqttd::Config = toml::from_str(&std::fs::read_to_string(path)?)?;
    rumqttd::Broker::new(config).start()?;
    Ok(())
}
