//! Records: what a blob of the shelf consists of.
//!
//! A blob is a byte with the version of the layout, and records that follow each other without a
//! gap. Numbers are big-endian. The last record of a value counts.
//!
//! ```text
//! gone  0 | value 16
//! void  1 | value 16 | tag 16 | owner 8
//! entry 2 | value 16 | tag 16 | owner 8 | length 4 | what Index::save wrote
//! ```

use crate::wire::{Broken, Reader};
use crate::{Identity, Owner, Value};

/// Version of the layout: the first byte of a blob.
pub(crate) const LAYOUT: u8 = 1;

const GONE: u8 = 0;
const VOID: u8 = 1;
const ENTRY: u8 = 2;

/// A record of a blob.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    /// The object was removed.
    Gone(Value),
    /// The object has no entry: its input was refused, or has nothing to index.
    Void(Identity, Owner),
    /// The object has an entry.
    Entry(Identity, Owner, &'a [u8]),
}

impl<'a> Record<'a> {
    pub(crate) fn append(&self, out: &mut Vec<u8>) {
        let (kind, id, owner) = match self {
            Record::Gone(value) => {
                out.push(GONE);
                return out.extend_from_slice(value);
            }
            Record::Void(id, owner) => (VOID, id, owner),
            Record::Entry(id, owner, _) => (ENTRY, id, owner),
        };
        out.push(kind);
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(&owner.to_be_bytes());
        if let Record::Entry(_, _, entry) = self {
            out.extend_from_slice(&(entry.len() as u32).to_be_bytes());
            out.extend_from_slice(entry);
        }
    }

    fn take(r: &mut Reader<'a>) -> Result<Record<'a>, Broken> {
        let kind = r.u8()?;
        if kind == GONE {
            return r.array().map(Record::Gone);
        }
        let id = Identity::from(r.array::<32>()?);
        let owner = r.u64()?;
        match kind {
            VOID => Ok(Record::Void(id, owner)),
            ENTRY => {
                let len = r.u32()? as usize;
                Ok(Record::Entry(id, owner, r.take(len)?))
            }
            _ => Err(Broken("a blob has an unknown kind of record")),
        }
    }

    /// Bytes of the record.
    pub(crate) fn len(&self) -> usize {
        match self {
            Record::Gone(_) => 17,
            Record::Void(..) => 41,
            Record::Entry(_, _, entry) => 45 + entry.len(),
        }
    }
}

/// Yields the records of a blob, up to the first that can't be decoded. A Core that works hands
/// out only what the kit wrote; what is left out is fed anew.
pub(crate) fn records(blob: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let known = blob.first() == Some(&LAYOUT);
    let mut rest = Reader(if known { &blob[1..] } else { &[] });
    std::iter::from_fn(move || if rest.0.is_empty() { None } else { Record::take(&mut rest).ok() })
}
