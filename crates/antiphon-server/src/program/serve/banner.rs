//! What `serve` prints when it listens.

use antiphon_server::config::Config;
use antiphon_server::start::Started;

use super::url;
use crate::program::terminal::escaped;

/// Returns where the server serves, with a line that calls a module.
pub(crate) fn text(started: &Started, config: &Config) -> String {
    let (calls, admin) = (url(config, started.servers.calls()), url(config, started.servers.admin()));
    let modules = started.modules.list();
    let place = escaped(&config.server.modules.display().to_string());
    let mut text =
        format!("calls      {calls}/v1/modules/MODULE/operations/OPERATION\noperators  {admin}/v1/modules\n");
    match modules.first() {
        None => {
            text.push_str(&format!(
                "no module yet: put NAME.wasm into {place}, and it is served within a second\n"
            ));
        }
        Some(first) => {
            let token = if config.auth.is_some() { "-H \"Authorization: Bearer $TOKEN\" " } else { "" };
            let ca = if config.http.tls.is_some() { "--cacert CA.pem " } else { "" };
            text.push_str(&format!(
                "try        curl {token}{ca}--data hello {calls}/v1/modules/{}/operations/echo\n",
                first.name
            ));
        }
    }
    text
}
