//! How numbers, texts and lists are written and read.

/// Bytes that are no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} of the body: expected {expected}")]
pub struct Malformed {
    /// Where.
    pub at: usize,
    /// What would have been read.
    pub expected: &'static str,
}

/// What is left of a body.
#[derive(Debug)]
pub struct Rest<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Rest<'a> {
    fn take(&mut self, bytes: usize, expected: &'static str) -> Result<&'a [u8], Malformed> {
        let taken = self.bytes[self.at..].get(..bytes);
        let taken = taken.ok_or(Malformed {
            at: self.at,
            expected,
        })?;
        self.at += bytes;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], Malformed> {
        let at = self.at;
        let taken = self.take(N, expected)?;
        taken.try_into().map_err(|_| Malformed { at, expected })
    }

    /// How many of something come next, each of at least `least` bytes.
    fn count(&mut self, least: usize) -> Result<usize, Malformed> {
        let at = self.at;
        let count = u32::get(self)? as usize;
        let left = self.bytes.len() - self.at;
        if count > left / least {
            let expected = "a count of no more than there are bytes for";
            return Err(Malformed { at, expected });
        }
        Ok(count)
    }

    /// Which of some cases comes next.
    fn case(&mut self, expected: &'static str) -> Result<bool, Malformed> {
        let at = self.at;
        match u32::get(self)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed { at, expected }),
        }
    }
}

/// A value that a body is made of.
pub trait Field: Sized {
    /// Bytes of the shortest such value, at least 1.
    const LEAST: usize;

    /// Appends it.
    fn put(&self, body: &mut Vec<u8>);

    /// Reads it.
    ///
    /// # Errors
    /// [`Malformed`].
    fn get(rest: &mut Rest<'_>) -> Result<Self, Malformed>;
}

/// The body that is one value.
pub fn encode<T: Field>(value: &T) -> Vec<u8> {
    let mut body = Vec::new();
    value.put(&mut body);
    body
}

/// The value that a body is.
///
/// # Errors
/// [`Malformed`] when it is none, or more than one.
pub fn parse<T: Field>(bytes: &[u8]) -> Result<T, Malformed> {
    let mut rest = Rest { bytes, at: 0 };
    let value = T::get(&mut rest)?;
    if rest.at == bytes.len() {
        return Ok(value);
    }
    let (at, expected) = (rest.at, "the end");
    Err(Malformed { at, expected })
}

macro_rules! numbers {
    ($($number:ident: $bytes:literal, $expected:literal;)*) => {$(
        impl Field for $number {
            const LEAST: usize = $bytes;

            fn put(&self, body: &mut Vec<u8>) {
                body.extend(self.to_le_bytes());
            }

            fn get(rest: &mut Rest<'_>) -> Result<Self, Malformed> {
                Ok(Self::from_le_bytes(rest.array($expected)?))
            }
        }
    )*};
}

numbers! {
    u32: 4, "a number of four bytes";
    u64: 8, "a number of eight bytes";
    f32: 4, "a number of four bytes";
}

impl Field for bool {
    const LEAST: usize = 4;

    fn put(&self, body: &mut Vec<u8>) {
        u32::from(*self).put(body);
    }

    fn get(rest: &mut Rest<'_>) -> Result<Self, Malformed> {
        rest.case("0 (false) or 1 (true)")
    }
}

impl Field for String {
    const LEAST: usize = 4;

    fn put(&self, body: &mut Vec<u8>) {
        (self.len() as u32).put(body);
        body.extend(self.as_bytes());
    }

    fn get(rest: &mut Rest<'_>) -> Result<Self, Malformed> {
        let bytes = rest.count(1)?;
        let (at, expected) = (rest.at, "UTF-8");
        let text = rest.take(bytes, expected)?.to_vec();
        Self::from_utf8(text).map_err(|_| Malformed { at, expected })
    }
}

impl<T: Field> Field for Option<T> {
    const LEAST: usize = 4;

    fn put(&self, body: &mut Vec<u8>) {
        self.is_some().put(body);
        if let Some(value) = self {
            value.put(body);
        }
    }

    fn get(rest: &mut Rest<'_>) -> Result<Self, Malformed> {
        let there = rest.case("0 (unset) or 1 (set)")?;
        there.then(|| T::get(rest)).transpose()
    }
}

impl<T: Field, E: Field> Field for Result<T, E> {
    const LEAST: usize = 4;

    fn put(&self, body: &mut Vec<u8>) {
        self.is_err().put(body);
        match self {
            Ok(value) => value.put(body),
            Err(error) => error.put(body),
        }
    }

    fn get(rest: &mut Rest<'_>) -> Result<Self, Malformed> {
        Ok(if rest.case("0 (answered) or 1 (failed)")? {
            Err(E::get(rest)?)
        } else {
            Ok(T::get(rest)?)
        })
    }
}

impl<T: Field> Field for Vec<T> {
    const LEAST: usize = 4;

    fn put(&self, body: &mut Vec<u8>) {
        (self.len() as u32).put(body);
        for value in self {
            value.put(body);
        }
    }

    fn get(rest: &mut Rest<'_>) -> Result<Self, Malformed> {
        let count = rest.count(T::LEAST)?;
        (0..count).map(|_| T::get(rest)).collect()
    }
}

/// Records, whose fields follow one another in the order in which they are named.
macro_rules! record {
    (impl $record:ident { $($field:ident: $of:ty),* $(,)? }) => {
        impl $crate::body::field::Field for $record {
            const LEAST: usize = 0 $(+ <$of as $crate::body::field::Field>::LEAST)*;

            fn put(&self, body: &mut Vec<u8>) {
                $($crate::body::field::Field::put(&self.$field, body);)*
            }

            fn get(
                rest: &mut $crate::body::field::Rest<'_>,
            ) -> Result<Self, $crate::body::field::Malformed> {
                Ok(Self {
                    $($field: $crate::body::field::Field::get(rest)?,)*
                })
            }
        }
    };
    ($($(#[$doc:meta])* pub struct $record:ident {
        $($(#[$field_doc:meta])* pub $field:ident: $of:ty),* $(,)?
    })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $record {
            $($(#[$field_doc])* pub $field: $of,)*
        }

        $crate::body::field::record! { impl $record { $($field: $of),* } }
    )*};
}

pub(super) use record;
