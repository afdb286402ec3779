//! The query options of a list of alerts, read and checked, and the link to the next page.
//!
//! The link carries every option and a `$skiptoken` bound to them; a client follows it verbatim.
//! It deliberately does not touch alerts.

use url::form_urlencoded;

use crate::sim::base64;
use crate::sim::data::alerts::properties;
use crate::sim::graph::filter::Filter;
use crate::sim::graph::{Refused, refused};
use crate::sim::ids::hex;
use crate::sim::world::alerts::Paging;

/// The largest page that can be had; a larger `$top` is lowered to it without a word.
const LARGEST: usize = 1000;

/// The page size without `$top`.
const USUAL: usize = 100;

/// A checked query.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// `$filter`.
    pub(crate) filter: Option<Filter>,
    /// `$orderby`: property, and whether downwards.
    pub(crate) order: Vec<(String, bool)>,
    /// `$select`.
    pub(crate) select: Option<Vec<String>>,
    /// `$count`.
    pub(crate) count: bool,
    /// Where the page begins: `$skip` and what earlier pages held.
    pub(crate) start: usize,
    /// Whether it is the query of a link to a next page.
    pub(crate) followed: bool,
    top: Option<usize>,
    skip: usize,
    plain: Vec<(String, String)>,
}

impl Options {
    /// Reads a query.
    pub(crate) fn read(query: &[(String, String)]) -> Result<Self, Refused> {
        let mut options = Self::default();
        let mut token = None;
        for (at, (name, value)) in query.iter().enumerate() {
            let name = name.as_str();
            if query[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(refused("option_repeated", &[name]));
            }
            if name == "$skiptoken" {
                token = Some(value);
                continue;
            }
            options.take(name, value)?;
            options.plain.push((name.to_owned(), value.clone()));
        }
        options.start = options.skip;
        options.followed = token.is_some() || options.skip > 0;
        if let Some(token) = token {
            options.start += options
                .offset(token)
                .ok_or_else(|| refused("link_400", &[]))?;
        }
        Ok(options)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), Refused> {
        match name {
            "$filter" => {
                self.filter = Some(Filter::parse(value)?);
            }
            "$top" => self.top = Some(whole(name, value)?),
            "$skip" => self.skip = whole(name, value)?,
            "$count" => {
                let wrong = |_| refused("option_boolean", &[value]);
                self.count = value.parse().map_err(wrong)?;
            }
            "$orderby" => self.order = value.split(',').map(order).collect::<Result<_, _>>()?,
            "$select" => {
                self.select = Some(value.split(',').map(member).collect::<Result<_, _>>()?);
            }
            name if name.starts_with('$') => {
                return Err(refused("option_unknown", &[name]));
            }
            // Options of a caller's own are ignored, as OData demands.
            _ => {}
        }
        Ok(())
    }

    /// How many alerts a page holds at most; `cap` is the world's word.
    pub(crate) fn page(&self, cap: Option<usize>) -> usize {
        let most = cap.unwrap_or(LARGEST).min(LARGEST);
        self.top.unwrap_or(cap.unwrap_or(USUAL)).min(most)
    }

    /// The query of the page that begins where this one ends.
    pub(crate) fn next(&self, end: usize, paging: Paging) -> String {
        let last = match paging {
            Paging::Skip => format!("$skip={end}"),
            Paging::Skiptoken => {
                let offset = end - self.skip;
                let token = base64::encode(format!("{offset}:{}", self.seal(offset)).as_bytes());
                format!("$skiptoken={token}")
            }
        };
        let kept = |name: &str| paging == Paging::Skiptoken || name != "$skip";
        let options = self.plain.iter().filter(|(name, _)| kept(name));
        let options = options.map(|(name, value)| {
            let value: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
            format!("{name}={value}")
        });
        let all: Vec<String> = options.chain([last]).collect();
        all.join("&")
    }

    /// What an opaque token says, if it was made for this very query.
    fn offset(&self, token: &str) -> Option<usize> {
        let text = String::from_utf8(base64::decode(token)?).ok()?;
        let (offset, seal) = text.split_once(':')?;
        let offset = offset.parse().ok()?;
        (seal == self.seal(offset)).then_some(offset)
    }

    fn seal(&self, offset: usize) -> String {
        let text = format!("{offset} {:?}", self.plain);
        let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        hex(&digest.as_ref()[..6])
    }
}

fn whole(name: &str, value: &str) -> Result<usize, Refused> {
    let wrong = |_| refused("option_number", &[value, name]);
    value.parse().map_err(wrong)
}

fn order(text: &str) -> Result<(String, bool), Refused> {
    let mut words = text.split_whitespace();
    let property = words.next().unwrap_or_default();
    let down = match (words.next(), words.next()) {
        (None | Some("asc"), None) => false,
        (Some("desc"), None) => true,
        _ => return Err(refused("orderby_syntax", &[text])),
    };
    if !["createdDateTime", "lastUpdateDateTime"].contains(&property) {
        return Err(refused("orderby_property", &[property]));
    }
    Ok((property.to_owned(), down))
}

fn member(text: &str) -> Result<String, Refused> {
    let name = text.trim();
    if properties().iter().any(|known| known == name) {
        return Ok(name.to_owned());
    }
    Err(refused("select_property", &[name]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::server::call::pairs;

    fn read(query: &str) -> Result<Options, String> {
        Options::read(&pairs(query)).map_err(|refused| refused.text)
    }

    #[test]
    fn top_is_lowered_and_the_world_may_lower_it_further() {
        assert_eq!(read("").unwrap().page(None), 100);
        assert_eq!(read("$top=2000").unwrap().page(None), 1000);
        assert_eq!(read("$top=50").unwrap().page(Some(20)), 20);
        assert_eq!(read("").unwrap().page(Some(500)), 500);
    }

    #[test]
    fn the_link_carries_the_query_and_is_good_for_no_other() {
        let first = read("$filter=severity%20eq%20'high'&$top=10&$skip=5").unwrap();
        let link = first.next(15, Paging::Skiptoken);
        let second = read(&link).unwrap();
        assert_eq!((second.start, second.page(None)), (15, 10));
        assert!(second.filter.is_some());
        assert_eq!(read(&second.next(25, Paging::Skiptoken)).unwrap().start, 25);
        let plain = second.next(25, Paging::Skip);
        assert!(plain.ends_with("&$skip=25") && !plain.contains("$skip=5"));
        assert!(
            read(&link.replace("$top=10", "$top=11"))
                .unwrap_err()
                .contains("$skiptoken")
        );
        assert!(
            read(&format!("{link}&$top=10"))
                .unwrap_err()
                .contains("more than once")
        );
    }

    #[test]
    fn wrong_options_are_refused() {
        let cases = [
            ("$top=-1", "non-negative integer"),
            ("$top=ten", "non-negative integer"),
            ("$skip=1.5", "non-negative integer"),
            ("$count=yes", "'true' or 'false'"),
            ("$orderby=title", "cannot be used in the $orderby"),
            ("$orderby=createdDateTime up", "Syntax error"),
            ("$select=id,colour", "'colour'"),
            ("$search=x", "'$search' is not supported"),
            ("$filter=x", "Invalid filter clause"),
        ];
        for (query, wanted) in cases {
            let error = read(query).unwrap_err();
            assert!(error.contains(wanted), "{query}: {error}");
        }
        assert!(read("api-version=1").is_ok());
    }
}
