//! Pairs of texts, sorted, in one piece of memory.
//!
//! An alert has ten labels or more, and millions come and go: to take memory for each name and each
//! value, and to give it back on another thread, was a fifteenth of what an alert costs.

use std::{cmp::Ordering, fmt, ops::Range};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Pairs of a name and a value, in their order, each once, none of it empty.
#[derive(Clone, Default)]
pub(super) struct Pairs {
    /// Names and values as they came; what was removed may still be in it.
    text: String,
    /// Where each pair is in it, by name and value.
    places: Vec<Place>,
}

/// Where a pair is in the text. Pairs that were written as one name with several values share the name.
#[derive(Clone, Debug)]
pub(super) struct Place {
    name: Range<usize>,
    value: Range<usize>,
}

/// So many pairs an alert has more often than not, ...
const USUAL: usize = 12;
/// ... of so many bytes; only room is made by it.
const USUAL_BYTES: usize = 384;

/// So many pairs are searched one by one.
const FEW: usize = 32;

impl Pairs {
    fn part(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or_default()
    }

    /// The name at a place.
    pub(super) fn name(&self, place: &Place) -> &str {
        self.part(&place.name)
    }

    /// The value at a place.
    pub(super) fn value(&self, place: &Place) -> &str {
        self.part(&place.value)
    }

    fn is_called(&self, place: &Place, name: &str) -> bool {
        place.name.len() == name.len() && self.name(place) == name
    }

    fn pair(&self, place: &Place) -> (&str, &str) {
        (self.name(place), self.value(place))
    }

    /// All pairs, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.places.iter().map(|place| self.pair(place))
    }

    /// The places of each name, in order.
    pub(super) fn by_name(&self) -> impl Iterator<Item = &[Place]> {
        self.places.chunk_by(|one, other| self.name(one) == self.name(other))
    }

    /// The places of a name.
    pub(super) fn of(&self, name: &str) -> &[Place] {
        // Of few pairs all are looked at: that two names differ is mostly seen by their lengths,
        // and in which order they stand only by their bytes.
        let from = if self.places.len() <= FEW {
            self.places.iter().position(|place| self.is_called(place, name))
        } else {
            Some(self.places.partition_point(|place| self.name(place) < name))
        };
        let rest = from.and_then(|from| self.places.get(from..)).unwrap_or_default();
        let n = rest.iter().take_while(|place| self.is_called(place, name)).count();
        rest.get(..n).unwrap_or_default()
    }

    /// Whether each name has one value, and JSON has all of it as it is, between quotes.
    pub(super) fn is_plain(&self) -> bool {
        // Without a way out in the midst, this is done with many bytes at once.
        let is_odd = |byte| byte < b' ' || byte == b'"' || byte == b'\\';
        let odd = self.text.bytes().fold(false, |odd, byte| odd | is_odd(byte));
        let each_once =
            self.places.array_windows().all(|[one, other]| self.name(one) != self.name(other));
        !odd && each_once
    }

    /// No fewer bytes than all of it has as JSON, where it is plain.
    pub(super) fn plain_bytes(&self) -> usize {
        self.text.len() + 6 * self.places.len() + 2
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Adds a pair.
    pub(super) fn insert(&mut self, name: &str, value: &str) {
        if name.is_empty() || value.is_empty() {
            return;
        }
        let pair = (name, value);
        // Most come in order.
        let place = if self.places.last().is_none_or(|last| self.pair(last) < pair) {
            self.places.len()
        } else {
            match self.places.binary_search_by(|place| self.pair(place).cmp(&pair)) {
                Ok(_there_already) => return,
                Err(place) => place,
            }
        };
        let name = self.write(name);
        let value = self.write(value);
        self.places.insert(place, Place { name, value });
    }

    /// Adds values of one name, in whatever order and however many there are, at the cost of one sort.
    pub(super) fn insert_all<V: AsRef<str>>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = V>,
    ) {
        let name = self.write(name);
        for value in values {
            let value = self.write(value.as_ref());
            self.places.push(Place { name: name.clone(), value });
        }
        self.put_in_order();
    }

    /// Leaves out a name.
    pub(super) fn remove(&mut self, name: &str) {
        let Self { text, places } = self;
        places.retain(|place| text.get(place.name.clone()) != Some(name));
    }

    fn write(&mut self, part: &str) -> Range<usize> {
        let from = self.text.len();
        self.text.push_str(part);
        from..self.text.len()
    }

    /// Sorts the places, and leaves out what is empty or twice there.
    fn put_in_order(&mut self) {
        let mut places = std::mem::take(&mut self.places);
        places.retain(|place| !place.name.is_empty() && !place.value.is_empty());
        places.sort_by(|one, other| self.pair(one).cmp(&self.pair(other)));
        places.dedup_by(|one, other| self.pair(one) == self.pair(other));
        self.places = places;
    }

    /// Of a name that was written twice, leaves only what was written last.
    fn keep_last(&mut self) {
        let mut places = std::mem::take(&mut self.places);
        places.sort_by(|one, other| {
            let by_name = self.name(one).cmp(self.name(other));
            by_name.then(other.name.start.cmp(&one.name.start))
        });
        let mut last: Option<Place> = None;
        places.retain(|place| match &last {
            Some(last) if self.name(last) == self.name(place) => last.name == place.name,
            _ => {
                last = Some(place.clone());
                true
            }
        });
        self.places = places;
    }

    /// Whether the pairs are as they should be.
    fn is_in_order(&self) -> bool {
        let is_whole = |place: &Place| !place.name.is_empty() && !place.value.is_empty();
        self.places.iter().all(is_whole)
            && self.places.is_sorted_by(|one, other| match self.name(one).cmp(self.name(other)) {
                Ordering::Less => true,
                Ordering::Equal => one.name == other.name && self.value(one) < self.value(other),
                Ordering::Greater => false,
            })
    }
}

impl PartialEq for Pairs {
    fn eq(&self, other: &Self) -> bool {
        self.places.len() == other.places.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Pairs {}

impl PartialOrd for Pairs {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pairs {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl fmt::Debug for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Pairs {
    /// Reads a map whose values are texts or lists of them; nothing is a value that says nothing.
    pub(super) fn read<'de, A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let (text, places) = (String::with_capacity(USUAL_BYTES), Vec::with_capacity(USUAL));
        let mut pairs = Self { text, places };
        while let Some(name) = map.next_key_seed(Name(&mut pairs))? {
            map.next_value_seed(Values { name, pairs: &mut pairs, in_list: false })?;
        }
        // Most programs write them sorted.
        if !pairs.is_in_order() {
            pairs.keep_last();
            pairs.put_in_order();
        }
        Ok(pairs)
    }
}

/// Takes a name behind what is there; where it is.
struct Name<'a>(&'a mut Pairs);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Range<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Range<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.0.write(text))
    }
}

/// Takes what is written as the value of a name, or as one of its values.
struct Values<'a> {
    name: Range<usize>,
    pairs: &'a mut Pairs,
    in_list: bool,
}

impl Values<'_> {
    fn push(self, value: Range<usize>) {
        self.pairs.places.push(Place { name: self.name, value });
    }

    /// Takes in that nothing is said: it counts in the place of what was written before under this
    /// name.
    fn push_nothing<E: Error>(&mut self) -> Result<(), E> {
        if self.in_list {
            return Err(E::custom(WANTED));
        }
        self.pairs.places.push(Place { name: self.name.clone(), value: 0..0 });
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Values<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// What a value must be.
const WANTED: &str = "want a string or a list of strings";

// By hand, because an untagged enum copies every value into a tree before it looks at it: that was
// a third of the cost of reading an alert.
impl<'de> Visitor<'de> for Values<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_unit<E: Error>(mut self) -> Result<(), E> {
        self.push_nothing()
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        let value = self.pairs.write(value);
        self.push(value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        self.push_nothing()?;
        let Self { name, pairs, in_list: _ } = self;
        while let Some(()) =
            list.next_element_seed(Values { name: name.clone(), pairs, in_list: true })?
        {}
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Err(E::custom(WANTED))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Err(E::custom(WANTED))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Err(E::custom(WANTED))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Err(E::custom(WANTED))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(A::Error::custom(WANTED))
    }
}
