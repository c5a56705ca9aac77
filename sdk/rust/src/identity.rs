//! Identities, values and owners.

use std::fmt;

/// The first half of an [`Identity`]. It names the object, whatever its content.
pub type Value = [u8; 16];

/// A random number that stands for an owner of objects. It is the same in every process of an
/// index. In another index the same owner has another number.
pub type Owner = u64;

/// Asks for the objects of all owners. No owner has this number.
pub const ALL_OWNERS: Owner = 0;

/// Names one object with one content. A changed object keeps the value and gets another tag.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity([u8; Identity::SIZE]);

impl Identity {
    /// Bytes of an identity.
    pub const SIZE: usize = 32;

    /// Returns the identity with these two halves.
    pub fn new(value: Value, tag: [u8; 16]) -> Self {
        let mut bytes = [0; Self::SIZE];
        bytes[..16].copy_from_slice(&value);
        bytes[16..].copy_from_slice(&tag);
        Identity(bytes)
    }

    /// Returns the bytes of the identity.
    pub fn as_bytes(&self) -> &[u8; Self::SIZE] {
        &self.0
    }

    /// Returns the half that names the object.
    pub fn value(&self) -> Value {
        half(&self.0[..16])
    }

    /// Returns the half that names the content.
    pub fn tag(&self) -> [u8; 16] {
        half(&self.0[16..])
    }
}

impl From<[u8; Identity::SIZE]> for Identity {
    fn from(bytes: [u8; Identity::SIZE]) -> Self {
        Identity(bytes)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{:02x}", b))
    }
}

fn half(bytes: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(bytes);
    half
}
