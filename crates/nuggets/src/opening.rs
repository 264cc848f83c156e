//! What begins every text, and so must not begin the anchor once an example stands before it.

use tamis_dataset::{Content, Encoder, Message, Sample, Template};

use crate::NuggetsError;

/// Any text that is not empty: only what is put before it is of interest.
const PROBE: &str = "a";

/// Tokens that begin a text: what the tokenizer puts there, and with a chat template also what that
/// writes before the first turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opening {
    /// The longest first; none is empty.
    forms: Vec<Vec<u32>>,
}

impl Opening {
    pub(crate) fn of(encoder: &Encoder) -> Result<Self, NuggetsError> {
        let mut forms = Vec::new();
        if *encoder.template() == Template::Chat {
            forms.extend(before_the_first_turn(encoder));
            // For conversations that bring a beginning of their own, such as a system message.
            forms.extend(encoder.tokenizer().bos_id().map(|bos| vec![bos]));
        } else {
            let plain = encoder.tokenizer().ids(PROBE, false)?;
            let mut whole = encoder.tokenizer().ids(PROBE, true)?;
            let at = whole.windows(plain.len().max(1)).position(|part| part == plain);
            whole.truncate(at.unwrap_or(0));
            forms.push(whole);
        }
        forms.retain(|form| !form.is_empty());
        Ok(Self { forms })
    }

    /// How many tokens of `ids` are the opening.
    pub(crate) fn length(&self, ids: &[u32]) -> usize {
        self.forms.iter().find(|form| ids.starts_with(form)).map_or(0, Vec::len)
    }
}

/// What the chat template writes before the first turn and not before a later one: a conversation
/// of two equal exchanges is the opening and twice the exchange. Nothing, where the template is not
/// of this form.
fn before_the_first_turn(encoder: &Encoder) -> Option<Vec<u32>> {
    let encode = |exchanges: usize| {
        let turns = ["user", "assistant"].repeat(exchanges);
        let messages = turns.into_iter().map(|role| Message::new(role, PROBE)).collect();
        let sample = Sample { id: "".into(), index: 0, content: Content::Chat { messages } };
        // A template that refuses these turns has no opening that could be told apart.
        encoder.encode(&sample).scored().map(|encoded| encoded.ids)
    };
    let (Some(once), Some(twice)) = (encode(1), encode(2)) else { return None };
    let exchange = twice.strip_prefix(once.as_slice());
    let opening = exchange.and_then(|exchange| once.strip_suffix(exchange));
    opening.map(<[u32]>::to_vec)
}
