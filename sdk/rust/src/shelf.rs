//! What the index holds, for reconciliation, and which part of it lies on the shelf.
//!
//! Invariants:
//!
//! 1. A value is in `held` if and only if its object counts as held: with an entry in the index, or
//!    as a void.
//! 2. `blobs` are the blobs of the set that counts and those sent since, without those that the
//!    next Set drops. Their numbers ascend.
//! 3. `Held::blob` is the blob with the present state of an object, or 0. The list of this
//!    blob names the value.
//! 4. Older blobs may have records of older states. A record in a younger blob replaces them.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::record::{records, Record};
use crate::saving::{cost, Saving};
use crate::wire::{bitmap, Run};
use crate::{Identity, Index, Owner, Value};

/// An object that counts as held.
pub(crate) struct Held {
    pub(crate) tag: [u8; 16],
    pub(crate) owner: Owner,
    pub(crate) void: bool, // the index has no entry for it
    pub(crate) blob: u64,  // where its present state is saved; 0: nowhere
    pub(crate) size: u32,  // bytes of that record
}

/// A blob on the shelf.
pub(crate) struct Blob {
    pub(crate) number: u64,
    pub(crate) used: usize,        // bytes
    pub(crate) values: Vec<Value>, // of its records
}

impl Blob {
    /// Bytes that the Core counts for it.
    pub(crate) fn cost(&self) -> u64 {
        cost(self.used)
    }
}

/// The kit's part of an index with a shelf.
pub(crate) struct Shelf {
    pub(crate) quota: u64,
    pub(crate) held: HashMap<Value, Held>,
    pub(crate) changed: HashSet<Value>, // not saved since their last change
    pub(crate) blobs: VecDeque<Blob>,
    pub(crate) size: u64, // cost of blobs
    pub(crate) live: u64, // bytes of the records with a present state
    pub(crate) next: u64, // number of the next blob
    pub(crate) saving: Option<Saving>,
    snapshot: Option<Snapshot>,
}

/// The identities at the first Runs frame, ascending by value.
struct Snapshot {
    ids: Vec<Identity>,
    at: usize, // first identity after the last run
}

impl Shelf {
    pub(crate) fn new(quota: u64) -> Self {
        Shelf {
            quota,
            held: HashMap::new(),
            changed: HashSet::new(),
            blobs: VecDeque::new(),
            size: 0,
            live: 0,
            next: 1,
            saving: None,
            snapshot: None,
        }
    }

    /// Notes a change that the index has made.
    pub(crate) fn insert(&mut self, id: Identity, owner: Owner, void: bool) {
        let held = Held { tag: id.tag(), owner, void, blob: 0, size: 0 };
        let former = self.held.insert(id.value(), held);
        self.outdated(former);
        self.changed.insert(id.value());
    }

    /// Notes a removal that the index has made.
    pub(crate) fn remove(&mut self, value: &Value) {
        let former = self.held.remove(value);
        if former.is_some() {
            self.changed.insert(*value);
        }
        self.outdated(former);
    }

    fn outdated(&mut self, former: Option<Held>) {
        self.live -= former.map_or(0, |h| u64::from(h.size));
    }

    /// Takes a blob of the set that counts.
    pub(crate) fn load(&mut self, index: &mut impl Index, number: u64, blob: &[u8]) {
        let mut values = Vec::new();
        for record in records(blob) {
            let size = record.len() as u32;
            let (id, owner, entry) = match record {
                Record::Gone(value) => {
                    values.push(value);
                    self.unload(index, &value);
                    continue;
                }
                Record::Void(id, owner) => (id, owner, None),
                Record::Entry(id, owner, entry) => (id, owner, Some(entry)),
            };
            let value = id.value();
            values.push(value);
            self.unload(index, &value);
            if entry.map_or(true, |entry| index.load(id, owner, entry)) {
                let held = Held { tag: id.tag(), owner, void: entry.is_none(), blob: number, size };
                self.held.insert(value, held);
                self.live += u64::from(size);
            }
        }
        self.size += cost(blob.len());
        self.blobs.push_back(Blob { number, used: blob.len(), values });
        self.next = self.next.max(number + 1);
    }

    /// Drops an object that an older record loaded.
    fn unload(&mut self, index: &mut impl Index, value: &Value) {
        let former = self.held.remove(value);
        if former.as_ref().map_or(false, |h| !h.void) {
            index.remove(value);
        }
        self.outdated(former);
    }

    /// Notes that the shelf is empty. All that is held is to be saved.
    pub(crate) fn forget(&mut self) {
        self.blobs.clear();
        self.saving = None;
        self.size = 0;
        self.live = 0;
        self.changed.clear();
        for (value, held) in &mut self.held {
            held.blob = 0;
            held.size = 0;
            self.changed.insert(*value);
        }
    }

    /// Returns a bit for each run: 1 if the held objects differ from it.
    pub(crate) fn differ(&mut self, runs: &[Run]) -> Vec<u8> {
        let snapshot = snapshot(&mut self.snapshot, &self.held);
        bitmap(runs.iter().map(|run| {
            let rest = &snapshot.ids[snapshot.at..];
            let count = rest.partition_point(|id| id.value() <= run.last);
            let tags = rest[..count].iter().map(|id| u128::from_be_bytes(id.tag()));
            let sum = tags.fold(0u128, u128::wrapping_add);
            snapshot.at += count;
            count != run.count as usize || sum != run.sum
        }))
    }

    /// Drops the objects of a range that are not listed, and returns a bit for each identity: 1
    /// if it is not held.
    pub(crate) fn lacks(
        &mut self,
        index: &mut impl Index,
        first: &Value,
        last: &Value,
        ids: &[Identity],
    ) -> Vec<u8> {
        let all = &snapshot(&mut self.snapshot, &self.held).ids;
        let from = all.partition_point(|id| id.value() < *first);
        let to = all.partition_point(|id| id.value() <= *last).max(from);
        // What was inserted since the snapshot is listed. What was removed since is not held.
        let unlisted: Vec<Value> =
            all[from..to].iter().filter(|id| ids.binary_search(id).is_err()).map(|id| id.value()).collect();
        for value in unlisted {
            let listed = ids.binary_search_by(|id| id.value().cmp(&value));
            let current = listed.map_or(false, |at| self.holds(&ids[at]));
            if !current && self.held.contains_key(&value) {
                self.unload(index, &value);
                self.changed.insert(value);
            }
        }
        bitmap(ids.iter().map(|id| !self.holds(id)))
    }

    fn holds(&self, id: &Identity) -> bool {
        self.held.get(&id.value()).map_or(false, |h| h.tag == id.tag())
    }

    /// Notes that the reconciliation is over.
    pub(crate) fn reconciled(&mut self) {
        self.snapshot = None;
    }
}

fn snapshot<'a>(snapshot: &'a mut Option<Snapshot>, held: &HashMap<Value, Held>) -> &'a mut Snapshot {
    snapshot.get_or_insert_with(|| {
        let mut ids: Vec<Identity> = held.iter().map(|(value, h)| Identity::new(*value, h.tag)).collect();
        ids.sort_unstable();
        Snapshot { ids, at: 0 }
    })
}
