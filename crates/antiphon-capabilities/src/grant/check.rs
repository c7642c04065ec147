//! Whether grants can be kept as they are written.

use super::{Grant, GrantError, Grants, HttpGrant, KeyvalueGrant};

/// The largest value and the largest body: an answer of a host call is at most 4 MiB.
const MOST_ANSWERED: u64 = 3 << 20;
const MOST_REDIRECTS: u32 = 5;
const LONGEST_NAME: usize = 64;
const LONGEST_PREFIX: usize = 256;

/// What is wrong: the key, and a sentence.
type Wrong = (&'static str, String);

impl Grants {
    /// Checks what no single value shows: that each grant grants one thing, that names differ, and
    /// that limits are within those of the wire. [`routes`](Self::routes) checks it as well.
    ///
    /// # Errors
    /// The first grant that is wrong.
    pub fn check(&self) -> Result<(), GrantError> {
        for (place, grant) in self.0.iter().enumerate() {
            let wrong = |(key, text): Wrong| GrantError::new(place, key, text);
            grant.check().map_err(wrong)?;
            let earlier = self.0.iter().take(place);
            let twin = earlier.filter(|other| other.capability() == grant.capability());
            if twin.into_iter().any(|other| other.binding() == grant.binding()) {
                let (capability, name) = (grant.capability().unwrap_or_default(), grant.binding());
                return Err(wrong((
                    "name",
                    format!(
                        "an earlier {capability} grant is named {name:?} too; give each a name of its own"
                    ),
                )));
            }
        }
        Ok(())
    }
}

impl Grant {
    /// Returns the capabilities that the grant names.
    fn named(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            ("keyvalue", self.keyvalue.is_some()),
            ("http", self.http.is_some()),
            ("config", self.config.is_some()),
            ("logging", self.logging.is_some()),
            ("module", self.module.is_some()),
        ];
        all.into_iter().filter_map(|(name, named)| named.then_some(name))
    }

    fn capability(&self) -> Option<&'static str> {
        self.named().next()
    }

    /// Returns the name that guests use.
    pub(crate) fn binding(&self) -> &str {
        self.name.as_deref().unwrap_or("default")
    }

    fn check(&self) -> Result<(), Wrong> {
        const ONE: &str = "a grant has exactly one of keyvalue, http, config, logging and module";
        match self.named().collect::<Vec<_>>().as_slice() {
            [] => return Err(("", format!("{ONE}; this one has none"))),
            [_] => {}
            several => return Err(("", format!("{ONE}; this one has {}", several.join(" and ")))),
        }
        if let Some(name) = &self.name {
            let plain = |c: char| !c.is_control() && c != '*';
            if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) {
                let text =
                    format!("a name has 1 to {LONGEST_NAME} bytes, no asterisk and no control characters");
                return Err(("name", text));
            }
        }
        if let Some(keyvalue) = &self.keyvalue {
            keyvalue.check()?;
        }
        if let Some(http) = &self.http {
            http.check()?;
        }
        if self.logging.as_ref().is_some_and(|logging| logging.max_lines_per_second == 0) {
            let text = "0 would log nothing; leave the grant out, or allow at least 1 line a second";
            return Err(("logging.max_lines_per_second", text.into()));
        }
        for name in self.module.iter().flat_map(|module| &module.names) {
            let stem = name.strip_suffix('*').unwrap_or(name);
            if name.is_empty() || stem.contains('*') {
                let text = format!("{name:?} is no module's name; an asterisk stands only at the end");
                return Err(("module.names", text));
            }
        }
        Ok(())
    }
}

impl KeyvalueGrant {
    fn check(&self) -> Result<(), Wrong> {
        within("keyvalue.value", self.value)?;
        if self.prefix.as_ref().is_some_and(|prefix| prefix.len() > LONGEST_PREFIX) {
            return Err(("keyvalue.prefix", format!("a prefix has at most {LONGEST_PREFIX} bytes")));
        }
        Ok(())
    }
}

impl HttpGrant {
    fn check(&self) -> Result<(), Wrong> {
        within("http.request", self.request)?;
        within("http.response", self.response)?;
        if self.redirects > MOST_REDIRECTS {
            return Err(("http.redirects", format!("at most {MOST_REDIRECTS} redirects are followed")));
        }
        if self.timeout.is_zero() {
            return Err(("http.timeout", "no request is answered within no time".into()));
        }
        for method in &self.methods {
            let known = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
            if !known || method == "CONNECT" || method == "TRACE" {
                let text = format!("{method:?} cannot be granted; methods are written like \"POST\"");
                return Err(("http.methods", text));
            }
        }
        Ok(())
    }
}

fn within(key: &'static str, bytes: u64) -> Result<(), Wrong> {
    if bytes > MOST_ANSWERED {
        return Err((key, format!("{bytes} bytes; at most {MOST_ANSWERED} fit into a host call")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(toml: &str) -> String {
        #[derive(serde::Deserialize)]
        struct Module {
            grant: Grants,
        }
        match toml::from_str::<Module>(toml) {
            Ok(module) => module.grant.check().map_err(|error| error.to_string()).unwrap_err(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_its_key() {
        for (grants, expected) in [
            (
                "[[grant]]\nname = 'x'",
                "grant 1: a grant has exactly one of keyvalue, http, config, logging and module; this one has none",
            ),
            ("[[grant]]\nkeyvalue = {}\nmodule = {}", "this one has keyvalue and module"),
            (
                "[[grant]]\nkeyvalue = {}\n[[grant]]\nkeyvalue = {}",
                "grant 2, name: an earlier keyvalue grant is named \"default\" too",
            ),
            ("[[grant]]\nname = '*'\nkeyvalue = {}", "grant 1, name: a name has 1 to 64 bytes"),
            (
                "[[grant]]\nkeyvalue = { value = '4MiB' }",
                "grant 1, keyvalue.value: 4194304 bytes; at most 3145728",
            ),
            (
                "[[grant]]\nkeyvalue = { durability = 'never' }",
                "unknown variant `never`, expected `immediate` or `eventual`",
            ),
            ("[[grant]]\nkeyvalue = { max_bytes = '64KB' }", "expected a size such as \"64KiB\""),
            ("[[grant]]\nhttp = { timeout = 5 }", "expected a duration such as \"250ms\""),
            ("[[grant]]\nhttp = { redirects = 6 }", "grant 1, http.redirects: at most 5 redirects"),
            ("[[grant]]\nhttp = { methods = ['get'] }", "http.methods: \"get\" cannot be granted"),
            ("[[grant]]\nhttp = { methods = ['CONNECT'] }", "http.methods: \"CONNECT\" cannot be granted"),
            ("[[grant]]\nhttp = { allow_addresses = ['10.0.0.0/33'] }", "invalid IP address syntax"),
            ("[[grant]]\nhttp = { allow = ['ftp://x'] }", "expected an origin such as"),
            ("[[grant]]\nmodule = { names = ['a*b'] }", "module.names: \"a*b\" is no module's name"),
            (
                "[[grant]]\nlogging = { max_lines_per_second = 0 }",
                "logging.max_lines_per_second: 0 would log nothing",
            ),
            ("[[grant]]\nlogging = { level = 'loud' }", "unknown variant `loud`"),
            ("[[grant]]\nfiles = {}", "unknown field `files`"),
        ] {
            let refusal = refusal(grants);
            assert!(refusal.contains(expected), "{refusal}\nhas no {expected:?}");
        }
    }

    #[test]
    fn the_grants_of_the_documentation_are_read() {
        let grants: std::collections::BTreeMap<String, Grants> = toml::from_str(
            "[[grant]]
             keyvalue = { store = 'default', prefix = 'pricing/', max_calls = 20, max_bytes = '64KiB' }
             [[grant]]
             http = { allow = ['https://api.rates.example:443'], methods = ['GET'], timeout = '1s', response = '256KiB' }
             [[grant]]
             config = { currency = 'EUR', api_key = { file = '/run/secrets/rates' } }
             [[grant]]
             module = { names = ['tax', 'vat*'] }
             [[grant]]
             logging = {}",
        )
        .unwrap();
        let grants = &grants["grant"];
        assert_eq!(grants.check(), Ok(()));
        let http = grants.0[1].http.as_ref().unwrap();
        assert_eq!((http.response, http.timeout.as_millis()), (256 << 10, 1000));
        assert_eq!(grants.0[0].keyvalue.as_ref().unwrap().max_bytes, Some(65_536));

        // What is written is read as it was.
        let written = toml::to_string(&std::collections::BTreeMap::from([("grant", grants)])).unwrap();
        let again: std::collections::BTreeMap<String, Grants> = toml::from_str(&written).unwrap();
        assert_eq!(&again["grant"], grants, "{written}");
        let json = serde_json::to_string(grants).unwrap();
        assert_eq!(&serde_json::from_str::<Grants>(&json).unwrap(), grants, "{json}");
        assert!(
            json.contains(r#""timeout":"1s""#) && json.contains(r#"{"file":"/run/secrets/rates"}"#),
            "{json}"
        );
    }
}
