//! The conformance suite on the plain provider.

antiphon_conformance::suite!(plain, |module| toy_provider::plain::factory(module.bytes(), module.limits()));
