//! `config`: check, show, or print an example.

use antiphon_server::config::{Overrides, Sources, example, load};

use super::args::{ConfigArgs, ConfigCommand, Format, SourceArgs};
use super::failure::Failure;
use super::terminal::{columns, escaped, escaped_json, warning, write};

pub(crate) fn run(args: &ConfigArgs) -> Result<(), Failure> {
    match &args.command {
        ConfigCommand::Example => write(example().as_bytes()),
        ConfigCommand::Check(args) => check(&sources(args)),
        ConfigCommand::Show { sources: args, format } => show(&sources(args), *format),
    }
}

/// Returns the sources that the arguments name, and the environment.
pub(crate) fn sources(args: &SourceArgs) -> Sources {
    let SourceArgs { config, modules, listen, admin } = args.clone();
    Sources::of_process(config, Overrides::new(modules, listen, admin))
}

fn check(sources: &Sources) -> Result<(), Failure> {
    let loaded = load(sources)?;
    loaded.warnings.iter().for_each(|text| warning(&escaped(text)));
    let files: Vec<_> = loaded.files.iter().map(|file| escaped(&file.display().to_string())).collect();
    let read = match files.as_slice() {
        [] => "no file was read, so all keys have their defaults".to_owned(),
        files => files.join(", "),
    };
    write(format!("ok: {read}\n").as_bytes())
}

fn show(sources: &Sources, format: Format) -> Result<(), Failure> {
    let loaded = load(sources)?;
    let text = match format {
        Format::Json => {
            let json = serde_json::to_string(&loaded.settings)
                .map_err(|error| Failure::system("cannot write JSON", &error))?;
            escaped_json(&json) + "\n"
        }
        Format::Text => {
            let row = |setting: &antiphon_server::config::Setting| {
                vec![
                    format!("{} = {}", setting.key, escaped(&setting.value)),
                    format!("# {}", escaped(&setting.origin)),
                ]
            };
            columns(&loaded.settings.iter().map(row).collect::<Vec<_>>())
        }
    };
    write(text.as_bytes())
}
