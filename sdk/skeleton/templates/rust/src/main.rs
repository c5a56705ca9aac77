//! `motte-task-{{name}}` finds the objects whose input equals the predicate: replace that by your
//! index. The documentation of the crate `motte` says what the kit does, and what an index must do.
//!
//! Invariant: an identity is under a text in `found` if and only if its entry in `held` has this text.

use std::collections::{BTreeMap, HashMap};

use motte::{Answer, Config, Failure, Identity, Index, Input, Owner, Query, Refused, Value};

/// Most bytes of an input.
const MAX_TEXT: usize = 4096;

#[derive(Default)]
struct Exact {
    held: HashMap<Value, (Identity, Vec<u8>)>,
    found: HashMap<Vec<u8>, BTreeMap<Identity, Owner>>,
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
            len if len > MAX_TEXT => Input::Refused,
            _ => {
                self.found.entry(input.to_vec()).or_default().insert(id, owner);
                self.held.insert(id.value(), (id, input.to_vec()));
                Input::Held
            }
        }
    }

    fn remove(&mut self, value: &Value) {
        let (id, text) = match self.held.remove(value) {
            Some(entry) => entry,
            None => return,
        };
        if let Some(ids) = self.found.get_mut(&text) {
            ids.remove(&id);
            if ids.is_empty() {
                self.found.remove(&text);
            }
        }
    }

    fn search<'a>(&'a self, query: &'a Query) -> Result<Answer<'a>, Failure> {
        if query.predicate.is_empty() {
            return Err(Failure::Query);
        }
        let ids = self.found.get(&query.predicate).into_iter().flatten();
        let found = ids.filter(|(_, owner)| query.wants(**owner)).map(|(id, _)| *id).collect();
        motte::sorted(found, &query.after)
    }

    fn save(&self, value: &Value, entry: &mut Vec<u8>) -> bool {
        match self.held.get(value) {
            Some((_, text)) => {
                entry.extend_from_slice(text);
                true
            }
            None => false,
        }
    }

    fn load(&mut self, id: Identity, owner: Owner, entry: &[u8]) -> bool {
        self.insert(id, owner, entry) == Input::Held
    }
}
