//! Follow-up links in responses: same scheme, host and port, no loops, a limited number.
//!
//! Other links are refused before a request is sent, so that a response cannot send a token to
//! another host. Does not send requests.

use std::collections::HashSet;

use url::Url;

use crate::protocol::{Detail, ErrorKind, Failure};

/// The maximum number of pages. More pages count as a loop.
pub const PAGE_LIMIT: usize = 10_000;

/// The links of one listing.
#[derive(Debug)]
pub struct Links {
    base: Url,
    seen: HashSet<String>,
    limit: usize,
}

impl Links {
    /// Accepts links to the scheme, host and port of `base`.
    pub fn new(base: &Url) -> Self {
        Links {
            base: base.clone(),
            seen: HashSet::new(),
            limit: PAGE_LIMIT,
        }
    }

    /// Records an address that is requested without a link, so that a link back to it is a loop.
    pub fn visited(&mut self, url: &Url) {
        // Relative links refer to this page.
        self.base.clone_from(url);
        self.seen.insert(url.to_string());
    }

    /// Returns the address of a blob link. Errors: `bad_response` with
    /// the host that it leads to.
    pub fn check(&self, link: &str) -> Result<Url, Failure> {
        let mut url = match self.base.join(link) {
            Ok(url) if !link.trim().is_empty() => url,
            Ok(_) => return Err(refused("A follow-up link is empty.")),
            Err(error) => {
                return Err(refused(&format!(
                    "A follow-up link is not an address: {error}."
                )));
            }
        };
        // A fragment is not sent, so it does not name another page.
        url.set_fragment(None);
        if !same_origin(&self.base, &url) {
            return Err(refused(&format!(
                "A follow-up link leads to {} instead of {}; it was not followed.",
                origin(&url),
                origin(&self.base)
            )));
        }
        if has_credentials(&url) {
            return Err(refused(
                "A follow-up link contains a user name or password; it was not followed.",
            ));
        }
        Ok(url)
    }

    /// Returns the address of the next page. Errors: `bad_response`, as for [`Links::check`] or for
    /// a loop.
    pub fn follow(&mut self, link: &str) -> Result<Url, Failure> {
        let url = self.check(link)?;
        if self.seen.len() >= self.limit {
            return Err(refused(&format!(
                "The listing has more than {} pages; it was not read further.",
                self.limit
            )));
        }
        if !self.seen.insert(url.to_string()) {
            return Err(refused(
                "A follow-up link leads to a page that was already read.",
            ));
        }
        self.base.clone_from(&url);
        Ok(url)
    }
}

/// Returns whether scheme, host and port are equal.
pub fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme()
        && a.host() == b.host()
        && a.port_or_known_default() == b.port_or_known_default()
}

/// Returns whether the address contains a user name or a password, which would be sent.
fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn refused(message: &str) -> Failure {
    Failure::new(ErrorKind::BadResponse, message)
        .with_detail(Detail::Permanent)
        .cause("A link in a response is followed once, and only to the same scheme, host and port.")
        .advice("Request a narrower time range. If the failure persists, report it to the service's support.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Links {
        Links::new(&Url::parse("https://graph.test/v1.0/a?$top=1").expect("an address"))
    }

    #[test]
    fn link_to_another_origin_is_refused() {
        let mut links = links();
        for fine in [
            "https://graph.test/v1.0/a?$skip=1",
            "https://graph.test:443/beta",
        ] {
            assert!(links.follow(fine).is_ok(), "{fine}");
        }
        for (link, leads_to) in [
            ("https://evil.test/v1.0/a", "https://evil.test"),
            ("http://graph.test/v1.0/a", "http://graph.test"),
            ("https://graph.test:8443/a", "https://graph.test:8443"),
            ("https://graph.test@evil.test/a", "https://evil.test"),
            ("//evil.test/a", "https://evil.test"),
        ] {
            let failure = links.follow(link).expect_err(link);
            assert_eq!(failure.kind(), ErrorKind::BadResponse);
            let message = format!("leads to {leads_to} instead of https://graph.test;");
            assert!(failure.message().contains(&message), "{failure}");
        }
    }

    #[test]
    fn link_to_a_known_page_is_refused() {
        let mut links = links();
        links.visited(&Url::parse("https://graph.test/1").expect("an address"));
        assert!(links.follow("https://graph.test/2").is_ok());
        for again in ["https://graph.test/1", "https://graph.test/2"] {
            let failure = links.follow(again).expect_err("a loop");
            assert!(failure.message().contains("already read"));
        }
    }

    #[test]
    fn listing_with_too_many_pages_is_refused() {
        let mut links = Links {
            limit: 2,
            ..links()
        };
        assert!(links.follow("https://graph.test/1").is_ok());
        assert!(links.follow("https://graph.test/2").is_ok());
        let failure = links.follow("https://graph.test/3").expect_err("too many");
        assert!(failure.message().contains("more than 2 pages"));
    }
}
