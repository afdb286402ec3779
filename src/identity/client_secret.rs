//! Application and secret: the form of the client-credentials grant.
//!
//! What the endpoint answers is read in [`token_endpoint`](super::token_endpoint).

use crate::net::Audience;
use crate::net::message::Text;
use crate::protocol::Secret;

/// The form fields; the scope is everything that was granted for that one audience.
pub fn form(client_id: &str, secret: &Secret, audience: &Audience) -> Vec<(&'static str, Text)> {
    vec![
        ("grant_type", "client_credentials".into()),
        ("client_id", client_id.into()),
        ("client_secret", secret.into()),
        ("scope", format!("{}/.default", audience.0).into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_hidden_and_the_scope_is_the_audiences_default() {
        let audience = Audience("https://graph.test".to_owned());
        let form = form("c", &Secret::new("s"), &audience);
        let shown: Vec<_> = form
            .iter()
            .map(|(n, v)| format!("{n}={}", v.shown()))
            .collect();
        assert_eq!(
            shown,
            [
                "grant_type=client_credentials",
                "client_id=c",
                "client_secret=***",
                "scope=https://graph.test/.default",
            ]
        );
    }
}
