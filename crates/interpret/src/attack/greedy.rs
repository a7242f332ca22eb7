//! A greedy black-box search: no gradient, only what the model says.
//!
//! Words are taken in the order of what leaving each out does (Li, Monroe and Jurafsky 2016,
//! arXiv:1612.08220); each in turn gets the replacement that leads nearest to the goal, as in
//! TextFooler (Jin, Jin, Zhou and Szolovits 2020, arXiv:1907.11932).

use super::attacker::{Attack, AttackEntry, AttackInfo};
use super::case::{AttackResult, Case, Stopped, Tried, Visited};
use super::constraints::{Proposal, WordNet};
use super::edits::{Edit, EditedTexts, deletions};
use super::hotflip::MAX_EDITS;
use super::units::{Grain, Unit, like, units};
use super::vocabulary::{Kind, Vocabulary, cosine};
use crate::error::Result;
use crate::method::{ParameterInfo, Setting, Settings};
use crate::options::Options;

/// Where replacements come from.
pub enum Source {
    /// The words whose embeddings are nearest to the word's.
    Neighbours,
    /// Words that share a sense with it.
    WordNet(WordNet),
    /// Other spellings: two letters changed places, one left out, doubled or replaced by another.
    Typos,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id())
    }
}

impl Source {
    fn id(&self) -> &'static str {
        match self {
            Self::Neighbours => "neighbours",
            Self::WordNet(_) => "wordnet",
            Self::Typos => "typos",
        }
    }
}

/// The most important word first, each replaced by what leads nearest.
#[derive(Debug)]
pub struct Greedy {
    /// Edits at most.
    pub max_edits: usize,
    /// Replacements of each word that are tried.
    pub candidates: usize,
    /// Where they come from.
    pub source: Source,
}

static INFO: AttackInfo = AttackInfo {
    id: "greedy",
    name: "Greedy replacement",
    meaning: "Replaces the words that matter most, each by what leads nearest to another \
              prediction, without any gradient.",
    caution: "Never takes a step back but for edits that turn out not to be needed; finds longer \
              flips than hotflip, and asks the model more often.",
    citation: "Jin, Jin, Zhou & Szolovits 2020, arXiv:1907.11932; Li, Monroe & Jurafsky 2016, \
               arXiv:1612.08220",
    cost: "a forward pass a word, and one for each replacement of each word that is changed",
    gradients: false,
    parameters: &[
        MAX_EDITS,
        ParameterInfo {
            name: "candidates",
            value: "N",
            help: "Replacements of each word that are tried",
            default: "50",
        },
        ParameterInfo {
            name: "source",
            value: "neighbours|wordnet|typos",
            help: "Where replacements come from: neighbours (nearest embeddings), wordnet \
                   (synonyms) or typos",
            default: "neighbours",
        },
    ],
};

/// The registry's entry.
pub static ENTRY: AttackEntry =
    AttackEntry { info: &INFO, build: |options| Ok(Box::new(Greedy::from_options(options)?)) };

impl Default for Greedy {
    fn default() -> Self {
        Self { max_edits: 10, candidates: 50, source: Source::Neighbours }
    }
}

impl Greedy {
    /// Reads the settings.
    ///
    /// # Errors
    /// If one has a value that it cannot have, or WordNet is not installed.
    pub fn from_options(options: &Options) -> Result<Self> {
        let count = |name: &str, default: usize| {
            options.get(name, default, "a count from 1 to 100000", |n| (1..=100_000).contains(n))
        };
        let sources = [("neighbours", 0), ("wordnet", 1), ("typos", 2)];
        let source = match options.choice("source", 0, &sources)? {
            0 => Source::Neighbours,
            1 => Source::WordNet(WordNet::open(options.text("synonyms").unwrap_or("wordnet"))?),
            _ => Source::Typos,
        };
        Ok(Self {
            max_edits: count("max-edits", 10)?,
            candidates: count("candidates", 50)?,
            source,
        })
    }

    /// The replacements of a word, the most likely to be meant first.
    fn replacements(&self, unit: &Unit, vector: &[f32], vocabulary: &Vocabulary) -> Vec<String> {
        let mut found: Vec<String> = match &self.source {
            Source::Neighbours => {
                let entries = vocabulary.entries().iter().enumerate();
                let mut near: Vec<(f64, usize)> = entries
                    .filter(|(_, entry)| unit.takes(entry))
                    .filter(|(_, entry)| entry.text.to_lowercase() != unit.text.to_lowercase())
                    .map(|(place, _)| (cosine(vector, vocabulary.embedding(place)), place))
                    .collect();
                near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                near.truncate(self.candidates);
                near.into_iter()
                    .map(|(_, place)| vocabulary.entries()[place].text.clone())
                    .collect()
            }
            Source::WordNet(wordnet) => wordnet.synonyms(&unit.text).into_iter().collect(),
            Source::Typos => typos(&unit.text),
        };
        found.retain(|word| *word != unit.text);
        found.truncate(self.candidates);
        if vocabulary.is_cased() {
            return found;
        }
        found.into_iter().map(|word| like(&unit.text, &word)).collect()
    }
}

/// Other spellings of a word; its first character stays.
fn typos(word: &str) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    let mut found = Vec::new();
    let mut add = |letters: Vec<char>| {
        let spelled: String = letters.into_iter().collect();
        if spelled != word && !found.contains(&spelled) {
            found.push(spelled);
        }
    };
    for at in 1..letters.len() {
        if at + 1 < letters.len() {
            let mut swapped = letters.clone();
            swapped.swap(at, at + 1);
            add(swapped);
        }
        let mut fewer = letters.clone();
        fewer.remove(at);
        add(fewer);
        let mut more = letters.clone();
        more.insert(at, letters[at]);
        add(more);
        let mut other = letters.clone();
        other[at] = if letters[at] == 'e' { 'a' } else { 'e' };
        add(other);
    }
    found
}

impl Attack for Greedy {
    fn info(&self) -> &'static AttackInfo {
        &INFO
    }

    fn settings(&self) -> Settings {
        Settings::from([
            ("max-edits", Setting::Integer(self.max_edits as u64)),
            ("candidates", Setting::Integer(self.candidates as u64)),
            ("source", Setting::from(self.source.id())),
        ])
    }

    fn attack(&self, case: &Case<'_>) -> Result<AttackResult> {
        let vocabulary = case.vocabulary()?;
        let encoding = case.window();
        let mut places = units(case, encoding, case.texts, Grain::Word)?;
        places.retain(|unit| unit.kind != Kind::Marks);
        let proposals: Vec<Vec<Edit>> =
            places.iter().map(|unit| self.edits(case, vocabulary, unit)).collect();
        if proposals.iter().all(Vec::is_empty) {
            let note = "no word may be changed: every one is protected, or nothing may replace it";
            return case.failed(None, Stopped::Fixed, Some(note));
        }
        let spans: Vec<(usize, std::ops::Range<usize>)> =
            places.iter().map(|unit| (unit.field, unit.original.clone())).collect();
        let mut judge = |texts: Vec<EditedTexts>| case.try_all(texts, &mut Visited::default());
        let outcome = search(case.texts, &spans, &proposals, self.max_edits, &mut judge)?;
        if outcome.reached
            && let Some(reading) = case.confirm(&outcome.texts)?
        {
            return Ok(case.result(outcome.texts, reading, true, Stopped::Found));
        }
        let stopped = if outcome.spent { Stopped::Spent } else { Stopped::Searched };
        let nearest = (!outcome.texts.edits().is_empty()).then_some(outcome.texts);
        case.failed(nearest, stopped, None)
    }
}

impl Greedy {
    fn edits(&self, case: &Case<'_>, vocabulary: &Vocabulary, unit: &Unit) -> Vec<Edit> {
        let window = case.window();
        let places: Vec<usize> =
            unit.tokens.iter().filter_map(|&t| vocabulary.place(window.tokens[t].id)).collect();
        let mut vector: Vec<f32> = Vec::new();
        for &place in &places {
            let embedding = vocabulary.embedding(place);
            vector.resize(embedding.len(), 0.0);
            vector.iter_mut().zip(embedding).for_each(|(sum, x)| *sum += x);
        }
        let tokenizer = case.victim.model().tokenizer();
        let original = &case.texts.originals()[unit.field];
        let allowed = |edit: &Edit| {
            let (vector, place) = (vector.as_slice(), None);
            let proposal = Proposal { edit, original, vocabulary, tokenizer, vector, place };
            case.may_edit(edit) && case.constraints.iter().all(|c| c.allows(&proposal))
        };
        let edits = self.replacements(unit, &vector, vocabulary).into_iter();
        edits.map(|to| unit.edit(to)).filter(allowed).collect()
    }
}

/// What a greedy search came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The last text.
    pub texts: EditedTexts,
    /// Whether it is what is wanted.
    pub reached: bool,
    /// Whether a limit ended the search.
    pub spent: bool,
}

/// Judges texts: those that can be judged, and whether a limit was reached.
pub type Judge<'a> = dyn FnMut(Vec<EditedTexts>) -> Result<(Vec<Tried>, bool)> + 'a;

/// The search itself, for anything that can judge a text: no model of this crate is needed.
///
/// `places` are the words with their fields, and `proposals` the edits of each.
///
/// # Errors
/// Those of `judge`.
pub fn search(
    texts: &EditedTexts,
    places: &[(usize, std::ops::Range<usize>)],
    proposals: &[Vec<Edit>],
    max_edits: usize,
    judge: &mut Judge<'_>,
) -> Result<Outcome> {
    let without = |(place, (field, span)): (usize, &(usize, std::ops::Range<usize>))| {
        let text = &texts.originals()[*field];
        let edits = deletions(*field, text, std::slice::from_ref(span), |_| true);
        Some((place, texts.replaced(edits)?))
    };
    let left_out: Vec<(usize, EditedTexts)> =
        places.iter().enumerate().filter_map(without).collect();
    let (tried, mut spent) = judge(left_out.iter().map(|(_, texts)| texts.clone()).collect())?;
    // What cannot be left out comes last.
    let margin = |texts: &EditedTexts| {
        tried.iter().find(|tried| tried.texts == *texts).map_or(f64::NEG_INFINITY, |t| t.margin)
    };
    let mut order: Vec<(f64, usize)> =
        left_out.iter().map(|(place, texts)| (margin(texts), *place)).collect();
    let missing = (0..places.len()).filter(|p| !left_out.iter().any(|(place, _)| place == p));
    order.extend(missing.map(|place| (f64::NEG_INFINITY, place)));
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut now = texts.clone();
    let mut nearest = f64::NEG_INFINITY;
    for (_, place) in order {
        if spent || now.edits().len() >= max_edits {
            break;
        }
        let next = proposals.get(place).into_iter().flatten();
        let next: Vec<_> = next.filter_map(|edit| now.with(edit.clone())).collect();
        let (tried, over) = judge(next)?;
        spent |= over;
        let best = tried
            .into_iter()
            .max_by(|a, b| a.reached.cmp(&b.reached).then(a.margin.total_cmp(&b.margin)));
        let Some(best) = best.filter(|best| best.reached || best.margin > nearest) else {
            continue;
        };
        nearest = best.margin;
        now = best.texts;
        if best.reached {
            return Ok(Outcome { texts: take_back(now, judge)?, reached: true, spent });
        }
    }
    Ok(Outcome { texts: now, reached: false, spent })
}

/// Takes back edits that are not needed.
fn take_back(mut texts: EditedTexts, judge: &mut Judge<'_>) -> Result<EditedTexts> {
    while texts.edits().len() > 1 {
        let fewer = (0..texts.edits().len()).map(|edit| texts.without(edit)).collect();
        let (tried, _) = judge(fewer)?;
        let reached = tried.into_iter().filter(|tried| tried.reached);
        match reached.max_by(|a, b| a.margin.total_cmp(&b.margin)) {
            Some(one) => texts = one.texts,
            None => break,
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_differ_and_begin_alike() {
        let all = typos("good");
        assert!(all.contains(&"god".to_owned()) && all.contains(&"godo".to_owned()));
        assert!(all.iter().all(|word| word.starts_with('g') && word != "good"));
        assert!(typos("a").is_empty());
        assert!(typos("电影").contains(&"电".to_owned()));
    }
}
