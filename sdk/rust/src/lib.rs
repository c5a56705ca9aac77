//! The kit for Tasks of Motte in Rust. Implement [`Index`], and call [`serve`] from `main`.
//! The index then runs in a confined process of its own. The Core sends it every change of the
//! collection, and asks it for the objects that match a predicate.
//!
//! # What the kit guarantees
//!
//! 1. It makes one call at a time, in the order in which the Core sent the frames. So a search
//!    sees every change that the Core sent before it, and no later change.
//! 2. The answers of any index keep the Task protocol: numbers, chunks and limits are right, each
//!    answer says whether more objects match, and only candidates are named if the query has any.
//! 3. It keeps the shelf: it decides which entries are written, merges old blobs, and reconciles
//!    the loaded entries with the collection. It never has more bytes on the shelf than the quota.
//!
//! # What an index must do
//!
//! 1. Keep all state in memory. A Task has no files, no network and no reliable clock.
//! 2. Refuse an input or a predicate that it can't use, and never panic. A panic ends the
//!    process, and the Core builds the index anew.
//! 3. Answer only with identities that it holds. The Core checks each identity, and ends a Task
//!    that returns a wrong one.
//!
//! The crate has no dependencies. Its only unsafe line takes descriptor 3, the channel to the
//! Core. `docs/reference/task-protocol.md` describes the channel.

#![deny(unsafe_code)]
#![warn(missing_docs)]

mod identity;
mod page;
mod reader;
mod record;
mod saving;
mod serve;
mod shelf;
#[cfg(test)]
mod tests;
pub mod wire;

pub use identity::{Identity, Owner, Value, ALL_OWNERS};
pub use page::{page, sorted};
pub use serve::{run, serve};

/// The declaration of an index. [`Index::configure`] gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Data type of inputs and predicates, as in `docs/reference/wire-protocol.md`. 0: not declared.
    pub data_type: u8,
    /// Whether answers keep the order of the Task.
    pub ordered: bool,
    /// Most identities in one answer.
    pub max_results: u32,
    /// Quota of the shelf in bytes. 0: the index has no shelf.
    pub shelf: u64,
    /// The configuration, byte for byte as the creator of the index gave it.
    pub options: Vec<u8>,
}

/// A question to an index. [`Index::search`] gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// In the language of the index.
    pub predicate: Vec<u8>,
    /// Most identities in the answer, at least 1.
    pub limit: u32,
    /// A hint. If it is not [`ALL_OWNERS`], the client may see only the objects of this owner.
    /// The answer may name others, but the Core leaves them out.
    pub owner: Owner,
    /// Asks for the next page: the identities before the page, the last one first, at most 8. The
    /// page begins after the first of them that still matches. See [`page`].
    pub after: Vec<Identity>,
    /// A hint. If it is not empty, the client wants only the matches among these, the candidates.
    /// They ascend. The kit leaves out other identities, whatever the answer names, so an index
    /// may ignore them. But an index that ends its answer at the limit must count the candidates
    /// alone. The page still begins after an object of `after`, which may be no candidate. See
    /// [`Query::candidate`] and [`Query::candidates`].
    pub within: Vec<Identity>,
}

impl Query {
    /// Reports whether the answer should name the objects of an owner.
    pub fn wants(&self, owner: Owner) -> bool {
        self.owner == ALL_OWNERS || self.owner == owner
    }

    /// Reports whether the answer may name an identity: there are no candidates, or this is one of
    /// them. It is true for the identities of `after`, too, so that [`page`] and [`sorted`] find
    /// the place of the page; the kit leaves them out.
    pub fn candidate(&self, id: &Identity) -> bool {
        self.within.is_empty() || self.within.binary_search(id).is_ok() || self.after.contains(id)
    }

    /// Returns the identities for which [`Query::candidate`] is true, each once, if there are
    /// candidates. An index looks each of them up, and need not look at its other objects.
    pub fn candidates(&self) -> impl Iterator<Item = Identity> + '_ {
        let places = self.after.iter().enumerate();
        let others = places
            .filter(move |(i, id)| self.within.binary_search(id).is_err() && !self.after[..*i].contains(id));
        self.within.iter().copied().chain(others.map(|(_, id)| *id))
    }
}

/// What an index did with an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The index has an entry for the object.
    Held,
    /// The input has nothing to index. The client is not told.
    Nothing,
    /// The index does not accept the input. The client that put the object is told.
    Refused,
}

/// Says that an index can't use its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// Why a query has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The index does not understand the predicate.
    Query,
    /// The index will not do so much work now. The client may try again.
    TooExpensive,
    /// None of the objects in [`Query::after`] matches. The client begins anew.
    Gone,
}

/// The identities that match, each object once. The kit takes at most one identity more than the
/// limit of the query, to learn whether more match. So an answer may look for each identity when
/// it is taken.
pub type Answer<'a> = Box<dyn Iterator<Item = Identity> + 'a>;

/// The code that the author of a Task writes: an index, or any other kind of search.
pub trait Index {
    /// Is the first call, and is made once. After an error the Core ends the Task for good.
    fn configure(&mut self, config: &Config) -> Result<(), Refused>;

    /// Takes the input of an object, in place of the entry under the same [`Value`]. The former
    /// entry goes, also if the input is refused or has nothing to index.
    fn insert(&mut self, id: Identity, owner: Owner, input: &[u8]) -> Input;

    /// Drops the entry under a value, if there is one.
    fn remove(&mut self, value: &Value);

    /// Returns the identities that match. Their order depends on the predicate alone, and stays
    /// the same while no change comes. An ordered index yields the best first; for other
    /// indexes the Core sorts the answer.
    fn search<'a>(&'a self, query: &'a Query) -> Result<Answer<'a>, Failure>;

    /// Appends the entry under a value to `entry`, so that [`Index::load`] can make it again
    /// without the input. It is called if the index has a shelf. It returns false if the entry
    /// is not to be saved: the Core then gives the input to each new process. The kit itself
    /// saves the identity and the owner.
    fn save(&self, value: &Value, entry: &mut Vec<u8>) -> bool {
        let _ = (value, entry);
        false
    }

    /// Takes an entry that [`Index::save`] wrote, in place of the entry under the same value. It
    /// returns false if it can't use the entry. Then it must hold no entry under this value, and
    /// the Core gives it the input.
    fn load(&mut self, id: Identity, owner: Owner, entry: &[u8]) -> bool {
        let _ = (id, owner, entry);
        false
    }
}
