//! `motte-task-exact` finds objects by their exact input: a key of at most 1024 bytes. The predicate
//! is the key. An empty input has nothing to index.
//!
//! Invariants:
//!
//! 1. `entries` has one entry for each object: that of the identity that was inserted last.
//! 2. An identity is under a key in `keys` if and only if its entry has this key. No key has an
//!    empty set.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::ops::RangeBounds;

use motte::{Answer, Config, Failure, Identity, Index, Input, Owner, Query, Refused, Value};

/// Most bytes of a key: a longer input is refused.
const MAX_KEY: usize = 1024;

struct Entry {
    id: Identity,
    key: Vec<u8>,
}

#[derive(Default)]
struct Exact {
    entries: HashMap<Value, Entry>,
    keys: HashMap<Vec<u8>, BTreeMap<Identity, Owner>>,
}

fn main() {
    motte::serve(Exact::default())
}

impl Index for Exact {
    fn configure(&mut self, config: &Config) -> Result<(), Refused> {
        if config.options.is_empty() {
            Ok(())
        } else {
            Err(Refused)
        }
    }

    fn insert(&mut self, id: Identity, owner: Owner, input: &[u8]) -> Input {
        self.remove(&id.value());
        match input.len() {
            0 => Input::Nothing,
            len if len > MAX_KEY => Input::Refused,
            _ => {
                self.keys.entry(input.to_vec()).or_default().insert(id, owner);
                self.entries.insert(id.value(), Entry { id, key: input.to_vec() });
                Input::Held
            }
        }
    }

    fn remove(&mut self, value: &Value) {
        let Entry { id, key } = match self.entries.remove(value) {
            Some(entry) => entry,
            None => return,
        };
        if let Some(ids) = self.keys.get_mut(&key) {
            ids.remove(&id);
            if ids.is_empty() {
                self.keys.remove(&key);
            }
        }
    }

    fn search<'a>(&'a self, query: &'a Query) -> Result<Answer<'a>, Failure> {
        let ids = match self.keys.get(&query.predicate) {
            Some(ids) => ids,
            None if query.after.is_empty() => return Ok(Box::new(std::iter::empty())),
            None => return Err(Failure::Gone),
        };
        // The order is that of the identities' bytes, so a page begins in the middle of the map.
        let from = match query.after.iter().find(|id| ids.contains_key(id)) {
            Some(id) => Excluded(*id),
            None if query.after.is_empty() => Unbounded,
            None => return Err(Failure::Gone),
        };
        let wanted = move |(_, owner): &(&Identity, &Owner)| query.wants(**owner);
        if !query.within.is_empty() && query.within.len() < ids.len() {
            let held = query.within.iter().filter_map(move |id| ids.get_key_value(id));
            let page = held.filter(move |(id, _)| (from, Unbounded::<Identity>).contains(*id));
            return Ok(Box::new(page.filter(wanted).map(|(id, _)| *id)));
        }
        let page = ids.range((from, Unbounded));
        Ok(Box::new(page.filter(wanted).map(|(id, _)| *id)))
    }

    fn save(&self, value: &Value, entry: &mut Vec<u8>) -> bool {
        match self.entries.get(value) {
            Some(e) => {
                entry.extend_from_slice(&e.key);
                true
            }
            None => false,
        }
    }

    fn load(&mut self, id: Identity, owner: Owner, entry: &[u8]) -> bool {
        self.insert(id, owner, entry) == Input::Held
    }
}
