//! Saving: a sequence of steps, from the first Save after a Set to the next Set.
//!
//! A blob takes, in this order, as long as there is room:
//!
//! 1. the objects that changed since they were saved last;
//! 2. the records of the youngest blobs, while these are small beside the new blob. So many
//!    small savings leave few blobs;
//! 3. the present records of the oldest blobs, while more than half of the shelf is out of date.
//!
//! A blob whose records were all written again is dropped by the next Set. Since step 3 begins
//! with the oldest blob, no older record is left that a *gone* record would have to hide. The
//! newest blob stays on the shelf: so a fresh process learns the highest number.

use std::mem;

use crate::record::{Record, LAYOUT};
use crate::shelf::{Blob, Shelf};
use crate::wire::{MAX_BLOB, MAX_DROPPED};
use crate::{Identity, Index, Value};

/// Answer to a Save frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The number and the content of a blob.
    Blob(u64, Vec<u8>),
    /// The set counts, without these blobs.
    Set(Vec<u64>),
    /// The set of before counts.
    Unchanged,
}

/// State between the steps.
pub(crate) struct Saving {
    first: u64,          // number of the first blob of this saving
    changed: Vec<Value>, // that are not written yet
    dropped: Vec<u64>,   // blobs that the Set drops
    dropped_size: u64,   // their bytes
}

impl Saving {
    /// Reports whether the Set may drop a blob: it must be of the set before.
    fn may_drop(&self, blob: &Blob) -> bool {
        blob.number < self.first && self.dropped.len() < MAX_DROPPED
    }
}

/// Bytes that the Core counts for a blob: it pads blobs to powers of two, and adds a head.
pub(crate) fn cost(blob: usize) -> u64 {
    (blob + 4).next_power_of_two().max(4096) as u64 + 256
}

/// A blob that is being filled.
struct Draft {
    room: usize,
    bytes: Vec<u8>,
    values: Vec<Value>,
}

impl Draft {
    fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn fits(&self, size: usize) -> bool {
        self.bytes.len() + size <= self.room
    }
}

impl Shelf {
    /// Makes one step of saving. A blob has at most `room` bytes.
    pub(crate) fn step(&mut self, index: &impl Index, room: usize) -> Step {
        let mut saving = self.saving.take().unwrap_or_else(|| Saving {
            first: self.next,
            changed: self.changed.drain().collect(),
            dropped: Vec::new(),
            dropped_size: 0,
        });
        let room = room.min(self.largest());
        let mut draft = Draft { room, bytes: vec![LAYOUT], values: Vec::new() };
        self.write_changed(&mut draft, &mut saving, index);
        self.join_youngest(&mut draft, &mut saving, index);
        self.clean_oldest(&mut draft, &mut saving, index);
        if draft.is_empty() {
            return self.set(saving);
        }
        let number = self.next;
        self.next += 1;
        let blob = Blob { number, used: draft.bytes.len(), values: draft.values };
        self.size += blob.cost();
        self.blobs.push_back(blob);
        self.saving = Some(saving);
        Step::Blob(number, draft.bytes)
    }

    fn set(&mut self, mut saving: Saving) -> Step {
        self.changed.extend(mem::take(&mut saving.changed)); // for which the quota has no space
        if saving.first == self.next && saving.dropped.is_empty() {
            return Step::Unchanged;
        }
        saving.dropped.sort_unstable();
        Step::Set(saving.dropped)
    }

    /// Returns the most bytes of a blob: a small part of the quota, so that cleaning needs little
    /// space.
    fn largest(&self) -> usize {
        let part = (self.quota / 32).clamp(4096, 128 << 10) as usize;
        let class = if part.is_power_of_two() { part } else { part.next_power_of_two() / 2 };
        (class - 4).min(MAX_BLOB)
    }

    /// Returns the bytes of the quota, without so many of the largest blobs.
    fn quota_without(&self, blobs: u64) -> u64 {
        self.quota.saturating_sub(blobs * cost(self.largest()))
    }

    /// Writes changed objects. It stops where the shelf would become so full that cleaning
    /// could not go on.
    fn write_changed(&mut self, draft: &mut Draft, saving: &mut Saving, index: &impl Index) {
        if self.size + saving.dropped_size > self.quota_without(5) || self.live > self.quota / 8 * 5 {
            return;
        }
        while let Some(value) = saving.changed.pop() {
            if self.changed.contains(&value) {
                continue; // it changed again, and the next saving writes it
            }
            if !self.write(draft, &value, index) {
                saving.changed.push(value);
                return;
            }
        }
    }

    /// Writes the records of the youngest blobs again, while each has at most twice the bytes of
    /// the draft, and all of it fits.
    fn join_youngest(&mut self, draft: &mut Draft, saving: &mut Saving, index: &impl Index) {
        while !draft.is_empty() {
            match self.blobs.back() {
                Some(last)
                    if saving.may_drop(last)
                        && last.used <= 2 * draft.bytes.len()
                        && draft.fits(last.used) => {}
                _ => return,
            }
            let last = self.blobs.pop_back().expect("the blob was just seen");
            for value in &last.values {
                let present = self.held.get(value).map(|h| h.blob);
                let ours = present.map_or(true, |blob| blob == last.number);
                if ours && !self.write(draft, value, index) {
                    saving.changed.push(*value);
                }
            }
            self.drop_blob(saving, &last);
        }
    }

    /// Writes the present records of the oldest blobs again, until the shelf is clean.
    fn clean_oldest(&mut self, draft: &mut Draft, saving: &mut Saving, index: &impl Index) {
        while self.is_dirty(draft) && self.size + saving.dropped_size <= self.quota_without(1) {
            match self.blobs.front() {
                Some(oldest) if saving.may_drop(oldest) && (self.blobs.len() > 1 || !draft.is_empty()) => {}
                _ => return,
            }
            let mut oldest = self.blobs.pop_front().expect("the blob was just seen");
            while let Some(value) = oldest.values.pop() {
                let present = self.held.get(&value).map_or(false, |h| h.blob == oldest.number);
                if present && !self.write(draft, &value, index) {
                    oldest.values.push(value);
                    return self.blobs.push_front(oldest);
                }
            }
            self.drop_blob(saving, &oldest);
        }
    }

    fn drop_blob(&mut self, saving: &mut Saving, blob: &Blob) {
        self.size -= blob.cost();
        saving.dropped.push(blob.number);
        saving.dropped_size += blob.cost();
    }

    /// Reports whether more than half of the shelf is out of date, beyond a few blobs, or whether
    /// the quota leaves little space.
    fn is_dirty(&self, draft: &Draft) -> bool {
        let size = self.size + cost(draft.bytes.len());
        size > 2 * self.live + 8 * cost(self.largest()) || size > self.quota_without(6)
    }

    /// Writes the present state of an object. It returns false if the draft has no room. An object
    /// that the index does not save, or that fits in no blob, is not written.
    fn write(&mut self, draft: &mut Draft, value: &Value, index: &impl Index) -> bool {
        let largest = self.largest();
        let mut entry = Vec::new();
        let mut saved = true;
        let held = self.held.get_mut(value);
        let record = match &held {
            None => Record::Gone(*value),
            Some(h) if h.void => Record::Void(Identity::new(*value, h.tag), h.owner),
            Some(h) => {
                saved = index.save(value, &mut entry);
                Record::Entry(Identity::new(*value, h.tag), h.owner, &entry)
            }
        };
        let size = record.len();
        saved &= size < largest;
        if saved && !draft.fits(size) {
            return false;
        }
        if saved {
            record.append(&mut draft.bytes);
            draft.values.push(*value);
        }
        if let Some(h) = held {
            let (blob, size) = if saved { (self.next, size as u32) } else { (0, 0) };
            self.live = self.live + u64::from(size) - u64::from(h.size);
            h.blob = blob;
            h.size = size;
        }
        true
    }
}
