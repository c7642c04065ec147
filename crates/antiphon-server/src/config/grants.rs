//! Grants: `antiphon-capabilities` types and checks them.

use antiphon_capabilities::Grants as Typed;

use super::kinds::{Kind, Node, Wrong};

/// The grants of a module, as the configuration says them.
pub(crate) struct Grants;

impl Kind for Grants {
    type Value = Vec<serde_json::Value>;
    const NAME: &'static str = "list of grants";

    fn read(node: Node<'_>) -> Result<Self::Value, Vec<Wrong>> {
        // Twice: a version's settings keep what was written, so that they are data, and the typed
        // grants know what may be written.
        let typed: Typed = node.clone().deserialize().map_err(|wrong| vec![wrong])?;
        typed.check().map_err(|error| {
            let items = node.value.get_ref().as_array();
            let grant = items.and_then(|items| items.get(error.grant()));
            let wrong = Wrong::new(error.to_string());
            vec![grant.map(|grant| grant.span()).into_iter().fold(wrong, Wrong::at)]
        })?;
        node.deserialize().map_err(|wrong| vec![wrong])
    }
}
