//! Pages of answers.

use crate::{Answer, Failure, Identity};

/// Returns a page of an answer in the order of the identities' bytes. It sorts `found`, the whole
/// answer; `after` is that of the query. It suits an index that finds all identities before it
/// names the first, and has no order of its own.
pub fn sorted<'a>(mut found: Vec<Identity>, after: &[Identity]) -> Result<Answer<'a>, Failure> {
    found.sort_unstable();
    page(found.into_iter(), after)
}

/// Returns a page of the answer `all`. The page begins behind the first identity of `after` that is
/// in `all`. If `after` is empty, it is the whole answer. Otherwise the function goes through
/// the answer to find the place. An index that can begin in the middle does not need it.
pub fn page<'a, I>(all: I, after: &[Identity]) -> Result<Answer<'a>, Failure>
where
    I: Iterator<Item = Identity> + Clone + 'a,
{
    if after.is_empty() {
        return Ok(Box::new(all));
    }
    let mut first = after.len();
    let mut rest = None;
    let mut scan = all;
    while let Some(id) = scan.next() {
        if let Some(at) = after[..first].iter().position(|a| *a == id) {
            first = at;
            rest = Some(scan.clone());
            if at == 0 {
                break;
            }
        }
    }
    match rest {
        Some(rest) => Ok(Box::new(rest)),
        None => Err(Failure::Gone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> Identity {
        Identity::new([n; 16], [0; 16])
    }

    #[test]
    fn a_page_begins_after_the_first_identity_that_matches() {
        let all = || vec![id(3), id(1), id(2)];
        let cases: [(&[Identity], Result<Vec<Identity>, Failure>); 6] = [
            (&[], Ok(vec![id(1), id(2), id(3)])),
            (&[id(1)], Ok(vec![id(2), id(3)])),
            (&[id(2), id(1)], Ok(vec![id(3)])),
            (&[id(9), id(1), id(3)], Ok(vec![id(2), id(3)])),
            (&[id(3)], Ok(vec![])),
            (&[id(8), id(9)], Err(Failure::Gone)),
        ];
        for (after, want) in cases {
            let got = sorted(all(), after).map(|page| page.collect::<Vec<_>>());
            assert_eq!(got, want, "the page after {:?}", after);
        }
    }
}
