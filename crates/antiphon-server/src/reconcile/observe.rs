//! What a module's file and the configuration say about it.

use std::sync::Arc;

use crate::deployment::{Inner, Reason};
use crate::desired::Digest;
use crate::feed::{By, EventKind};
use crate::settings::Settings;

/// What a look at a module's file has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A file, whose bytes are in the store.
    File(Digest),
    /// No file.
    Gone,
    /// A file that cannot be served.
    Unreadable(Reason),
}

impl Inner {
    /// Takes over what a module's file says. The newest change wins: a file that was not changed
    /// since an operator's change has no say.
    pub(crate) fn observe(self: &Arc<Self>, name: &Arc<str>, seen: Seen, configured: Arc<Settings>) {
        self.with_known(name, &configured, |deployment, control| {
            match seen {
                Seen::File(digest) => {
                    control.problem = None;
                    if control.file == Some(digest) {
                        return;
                    }
                    control.file = Some(digest);
                    (control.by_operator, control.note) = (false, None);
                    let id = control.version(digest, None);
                    let is_new = control.desired.serve != Some(id) || !control.exists();
                    control.serve(id);
                    control.revise();
                    if is_new {
                        let (by, share, note) = (By::File, None, None);
                        self.events.emit(Some(name), EventKind::Deployed { digest, share, by, note });
                    }
                }
                Seen::Gone => {
                    if control.removed {
                        control.file = None;
                        control.changed();
                    } else if control.exists() && !control.by_operator {
                        control.file = None;
                        control.remove();
                        self.events.emit(Some(name), EventKind::Removed);
                    } else {
                        control.problem = None;
                    }
                }
                Seen::Unreadable(reason) => {
                    if control.problem.as_ref() == Some(&reason) {
                        return;
                    }
                    let (module, reason_text) = (name, &reason.message);
                    tracing::warn!(target: "antiphon::server", %module, reason = %reason_text, "a module's file cannot be served");
                    control.problem = Some(reason);
                    if control.revision == 0 {
                        control.revise();
                    }
                }
            }
            deployment.publish(control);
        });
        self.publish_table(name);
    }

    /// Takes over the settings that the configuration has for a module that is known.
    pub(crate) fn configure(self: &Arc<Self>, name: &Arc<str>, configured: Arc<Settings>) {
        let Some(deployment) = self.known().get(name).map(Arc::clone) else { return };
        let mut control = deployment.control();
        if control.configure(configured)
            && let Some(id) = control.desired.serve
        {
            let (digest, by, share, note) = (id.digest, By::File, None, None);
            self.events.emit(Some(name), EventKind::Deployed { digest, share, by, note });
        }
        drop(control);
        deployment.wish();
    }
}
