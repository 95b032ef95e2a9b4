//! Names of entries in directories (RFC 4514), taken apart so that two spellings of one name are one.
//! Attribute types and values are compared without case and with single spaces, which is how directories
//! compare what names people and groups (`caseIgnoreMatch`, RFC 4517 §4.2.11).

/// A name, taken apart: its parts from the entry upwards; a part with several pairs has them in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Dn(Vec<Vec<(String, String)>>);

impl Dn {
    /// Takes a name apart; `None` for what is none, such as a plain word.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        for part in split(text, &[',', ';']) {
            let mut pairs = Vec::new();
            for pair in split(part, &['+']) {
                let (kind, value) = pair.split_once('=')?;
                let kind = kind.trim().to_ascii_lowercase();
                let kind = kind.strip_prefix("oid.").unwrap_or(&kind).to_owned();
                let good = |sign: u8| sign.is_ascii_alphanumeric() || matches!(sign, b'-' | b'.');
                if kind.is_empty() || !kind.bytes().all(good) {
                    return None;
                }
                pairs.push((kind, folded(&unescaped(value.trim_start())?)));
            }
            pairs.sort_unstable();
            parts.push(pairs);
        }
        Some(Self(parts))
    }

    /// The `cn` of the entry itself, folded, when it is named by it alone.
    fn common_name(&self) -> Option<&str> {
        match self.0.first()?.as_slice() {
            [(kind, name)] if kind == "cn" || kind == "2.5.4.3" => Some(name),
            _ => None,
        }
    }
}

/// A group of a directory.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Its whole name; `None` for one that cannot be read.
    name: Option<Dn>,
    /// Its values of `cn`, folded.
    common: Vec<String>,
}

impl Group {
    /// A group of this whole name, and of these values of `cn` beside the one in its name.
    pub(crate) fn new(name: &str, common: &[String]) -> Self {
        let name = Dn::parse(name);
        let own = name.as_ref().and_then(Dn::common_name).map(str::to_owned);
        Self { common: common.iter().map(|name| folded(name)).chain(own).collect(), name }
    }

    /// Whether this names it: its whole name in whatever spelling, or a `cn` of it.
    pub(crate) fn is_named(&self, text: &str) -> bool {
        match Dn::parse(text) {
            Some(wanted) => self.name.as_ref() == Some(&wanted),
            None => self.common.contains(&folded(text)),
        }
    }
}

/// A value as it is compared.
fn folded(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Splits at signs that are not escaped, nor quoted as older directories did (RFC 2253 §4).
fn split<'t>(text: &'t str, at: &[char]) -> Vec<&'t str> {
    let (mut is_escaped, mut is_quoted) = (false, false);
    text.split(|sign: char| {
        if is_escaped {
            is_escaped = false;
            return false;
        }
        match sign {
            '\\' => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ => {}
        }
        !is_quoted && at.contains(&sign)
    })
    .collect()
}

/// A value without its escapes: `\,` and `\2C` are one.
fn unescaped(text: &str) -> Option<String> {
    let text = text.strip_prefix('"').and_then(|rest| rest.trim_end().strip_suffix('"')).unwrap_or(text);
    let mut bytes = Vec::with_capacity(text.len());
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        if sign != '\\' {
            bytes.extend_from_slice(sign.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escaped = signs.next()?;
        match (escaped.to_digit(16), signs.peek().and_then(|next| next.to_digit(16))) {
            (Some(high), Some(low)) => {
                signs.next();
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            _ => bytes.extend_from_slice(escaped.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::Dn;

    #[test]
    fn spellings_of_one_name_are_one() {
        let one = Dn::parse("cn=Tollgate Admins,ou=Groups,dc=example,dc=com").unwrap();
        for same in [
            "CN=tollgate admins,OU=groups,DC=EXAMPLE,DC=com",
            "cn = Tollgate  Admins , ou = Groups , dc=example,dc=com ",
            "cn=\\54ollgate Admins,ou=Groups,dc=example,dc=com",
            "cn=\"Tollgate Admins\",ou=Groups;dc=example;dc=com",
        ] {
            assert_eq!(Dn::parse(same), Some(one.clone()), "{same}");
        }
        for other in [
            "cn=tollgate admins,ou=groups,dc=example",
            "cn=tollgate admins\\,ou=groups,dc=example,dc=com",
            "ou=groups,cn=tollgate admins,dc=example,dc=com",
            "cn=admins,ou=groups,dc=example,dc=com",
        ] {
            assert_ne!(Dn::parse(other), Some(one.clone()), "{other}");
        }
        assert_eq!(Dn::parse("cn=a+uid=b,dc=x"), Dn::parse("UID=b + CN=a,dc=x"));
        assert_eq!(Dn::parse("cn=a\\, b,dc=x"), Dn::parse("cn=a\\2C b,dc=x"));
    }

    #[test]
    fn what_is_no_name_is_none() {
        for bad in ["admins", "", "=x", "cn=a,b", "c n=a", "cn=\\", "cn=\\ff\\"] {
            assert_eq!(Dn::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_comma_in_a_value_does_not_end_it() {
        let name = |text: &str| Dn::parse(text).unwrap().common_name().map(str::to_owned);
        assert_eq!(name("CN=Admins,OU=Groups,DC=x").as_deref(), Some("admins"));
        assert_eq!(name("cn=admins\\,ou\\=groups,dc=x").as_deref(), Some("admins,ou=groups"));
        assert_eq!(name("ou=Groups,dc=x"), None);
        assert_eq!(name("cn=admins+uid=x,dc=x"), None);
    }
}
