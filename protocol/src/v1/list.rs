//! Lists in packets: ids, and properties in their three forms.
//!
//! Owns: how a list is checked, read and written.
//! Must not know: which packet it is in.
//! Invariant: a [`List`] was checked when it was made, so that going through it can't fail, and two lists are equal
//! exactly if their bytes are.

use std::fmt;
use std::marker::PhantomData;

use super::bytes::{Reader, write_value};
use super::{
    Fault, IDS_MAX, NUMBER_MAX, Name, PROPERTIES_MAX, Payload, PlayerId, VALUE_BYTES_MAX,
    write_varint,
};

/// A list as it stands in a packet; it is read again while it is gone through.
pub struct List<'a, T> {
    count: usize,
    bytes: &'a [u8],
    items: PhantomData<fn() -> T>,
}

/// A property that somebody joins with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Property<'a> {
    /// Its key.
    pub key: Name<'a>,
    /// What it is.
    pub value: Payload<'a>,
}

/// What a client wants of a property.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Change<'a> {
    /// Its key.
    pub key: Name<'a>,
    /// On what condition.
    pub guard: Guard,
    /// What it becomes; None deletes it.
    pub value: Option<Payload<'a>>,
}

/// The condition of a [`Change`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Guard {
    /// Whatever is there.
    Any,
    /// The key is not set.
    Unset,
    /// The key has this version, which is below [`NUMBER_MAX`] and above 0.
    Version(u64),
}

/// What has become of a property.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Changed<'a> {
    /// Its key.
    pub key: Name<'a>,
    /// The number of the change, for a [`Guard::Version`].
    pub version: u64,
    /// What it is now; None: deleted.
    pub value: Option<Payload<'a>>,
}

/// What lists are of: [`PlayerId`], [`Property`], [`Change`] and [`Changed`].
pub trait Element<'a>: Copy + sealed::Element<'a> {}

impl<'a, T: Copy + sealed::Element<'a>> Element<'a> for T {}

mod sealed {
    use super::{Fault, Reader};

    pub trait Element<'a>: Sized {
        /// Elements in one list, at most.
        const MAX: usize;
        /// What must be known of the elements before one.
        type Earlier: Default;

        fn read(reader: &mut Reader<'a>) -> Result<Self, Fault>;
        fn write(self, out: &mut Vec<u8>) -> Result<(), Fault>;
        /// Whether it may stand there.
        fn follows(self, earlier: &mut Self::Earlier) -> Result<(), Fault>;
    }
}

impl<'a, T: Element<'a>> List<'a, T> {
    /// The list of nothing.
    pub const EMPTY: Self = Self {
        count: 0,
        bytes: &[],
        items: PhantomData,
    };

    /// Writes a list into `buffer`, of which the earlier content is gone, and lends it.
    ///
    /// # Errors
    /// If there are too many items, one is out of its bounds, ids do not ascend, or two properties have the same key.
    pub fn encode(
        items: impl IntoIterator<Item = T>,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Self, Fault> {
        buffer.clear();
        let mut earlier = T::Earlier::default();
        let mut count = 0;
        for item in items {
            if count == T::MAX {
                return Err(Fault::TooLarge("the count"));
            }
            item.follows(&mut earlier)?;
            item.write(buffer)?;
            count += 1;
        }
        Ok(Self {
            count,
            bytes: buffer,
            items: PhantomData,
        })
    }

    /// Reads a count, at least `min`, and as many elements.
    pub(super) fn read(reader: &mut Reader<'a>, min: usize) -> Result<Self, Fault> {
        let count = reader.bounded(T::MAX as u64, "the count")? as usize;
        if count < min {
            return Err(Fault::Nothing("the list"));
        }
        let begin = reader.0;
        let mut earlier = T::Earlier::default();
        for _ in 0..count {
            T::read(reader)?.follows(&mut earlier)?;
        }
        Ok(Self {
            count,
            bytes: &begin[..begin.len() - reader.0.len()],
            items: PhantomData,
        })
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        write_varint(out, self.count as u64);
        out.extend_from_slice(self.bytes);
    }

    /// Its elements in order.
    #[must_use]
    pub fn iter(self) -> Items<'a, T> {
        Items {
            left: self.count,
            reader: Reader(self.bytes),
            items: PhantomData,
        }
    }
}

impl<T> List<'_, T> {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<T> Clone for List<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<'_, T> {}

impl<T> PartialEq for List<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        (self.count, self.bytes) == (other.count, other.bytes)
    }
}

impl<T> Eq for List<'_, T> {}

impl<'a, T: Element<'a> + fmt::Debug> fmt::Debug for List<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

impl<'a, T: Element<'a>> IntoIterator for List<'a, T> {
    type Item = T;
    type IntoIter = Items<'a, T>;

    fn into_iter(self) -> Items<'a, T> {
        self.iter()
    }
}

/// The elements of a [`List`].
#[derive(Clone)]
pub struct Items<'a, T> {
    left: usize,
    reader: Reader<'a>,
    items: PhantomData<fn() -> T>,
}

impl<'a, T: Element<'a>> Iterator for Items<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        // It was read once already, so it can't fail.
        T::read(&mut self.reader).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'a> sealed::Element<'a> for PlayerId {
    const MAX: usize = IDS_MAX;
    type Earlier = u32;

    fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        reader.player("the id")
    }

    fn write(self, out: &mut Vec<u8>) -> Result<(), Fault> {
        write_varint(out, u64::from(self.get()));
        Ok(())
    }

    fn follows(self, earlier: &mut u32) -> Result<(), Fault> {
        if self.get() <= *earlier {
            return Err(Fault::NotAscending("the ids"));
        }
        *earlier = self.get();
        Ok(())
    }
}

/// The keys of the properties so far.
pub struct Keys<'a> {
    keys: [&'a str; PROPERTIES_MAX],
    count: usize,
}

impl Default for Keys<'_> {
    fn default() -> Self {
        Self {
            keys: [""; PROPERTIES_MAX],
            count: 0,
        }
    }
}

impl<'a> Keys<'a> {
    fn add(&mut self, key: Name<'a>) -> Result<(), Fault> {
        let key = key.as_str();
        if self.keys[..self.count].contains(&key) {
            return Err(Fault::SameKey);
        }
        *self
            .keys
            .get_mut(self.count)
            .ok_or(Fault::TooLarge("the count"))? = key;
        self.count += 1;
        Ok(())
    }
}

fn write_property(
    out: &mut Vec<u8>,
    key: Name<'_>,
    between: Option<u64>,
    value: Option<Payload<'_>>,
) -> Result<(), Fault> {
    if key == Name::NONE {
        return Err(Fault::Nothing("the name"));
    }
    if value.is_some_and(|value| value.bytes().len() > VALUE_BYTES_MAX) {
        return Err(Fault::TooLarge("the value"));
    }
    key.write(out);
    if let Some(number) = between {
        if number > NUMBER_MAX {
            return Err(Fault::TooLarge("the version"));
        }
        write_varint(out, number);
    }
    write_value(out, value);
    Ok(())
}

impl<'a> sealed::Element<'a> for Property<'a> {
    const MAX: usize = PROPERTIES_MAX;
    type Earlier = Keys<'a>;

    fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        Ok(Self {
            key: reader.name()?,
            value: reader.value()?.ok_or(Fault::Deleted)?,
        })
    }

    fn write(self, out: &mut Vec<u8>) -> Result<(), Fault> {
        write_property(out, self.key, None, Some(self.value))
    }

    fn follows(self, earlier: &mut Keys<'a>) -> Result<(), Fault> {
        earlier.add(self.key)
    }
}

impl<'a> sealed::Element<'a> for Change<'a> {
    const MAX: usize = PROPERTIES_MAX;
    type Earlier = Keys<'a>;

    fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        Ok(Self {
            key: reader.name()?,
            guard: match reader.varint("the guard")? {
                0 => Guard::Any,
                1 => Guard::Unset,
                more => Guard::Version(more - 1),
            },
            value: reader.value()?,
        })
    }

    fn write(self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let guard = match self.guard {
            Guard::Any => 0,
            Guard::Unset => 1,
            Guard::Version(0) => return Err(Fault::Nothing("the version")),
            Guard::Version(version) => version.saturating_add(1),
        };
        write_property(out, self.key, Some(guard), self.value)
    }

    fn follows(self, earlier: &mut Keys<'a>) -> Result<(), Fault> {
        earlier.add(self.key)
    }
}

impl<'a> sealed::Element<'a> for Changed<'a> {
    const MAX: usize = PROPERTIES_MAX;
    type Earlier = Keys<'a>;

    fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        Ok(Self {
            key: reader.name()?,
            version: reader.varint("the version")?,
            value: reader.value()?,
        })
    }

    fn write(self, out: &mut Vec<u8>) -> Result<(), Fault> {
        write_property(out, self.key, Some(self.version), self.value)
    }

    fn follows(self, earlier: &mut Keys<'a>) -> Result<(), Fault> {
        earlier.add(self.key)
    }
}
