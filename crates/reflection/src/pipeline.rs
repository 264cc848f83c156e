//! Selective reflection of a data set: waves of records, the teacher's work beside the student's.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tamis_artifact::{Fingerprint, Manifest, Progress, Provenance};
use tamis_dataset::{SampleId, Source, check_source, ids_of, read_at};

use crate::asking::{Desk, Heard};
use crate::choice::choose;
use crate::history::{History, Outcome};
use crate::journal::Journal;
use crate::params::Keep;
use crate::record::{Record, Stage};
use crate::scoring::{Passes, score};
use crate::{ChatRequest, Prompts, ReflectionError, ReflectionParams, Student, Teacher};

/// Kind and layout of the journal.
const JOURNAL: (&str, u32) = ("reflection", 3);

/// Selective reflection, made by [`ReflectionParams::check`].
///
/// 1. **Instruction.** The teacher criticises instruction and answer and writes a better instruction with its
///    answer. Pair against pair, the student keeps the new one if its IFD is strictly higher.
/// 2. **Response.** On the instruction that was kept, the teacher writes a better answer. The student keeps
///    it if its reversed IFD is strictly lower.
/// 3. **Final set.** By the [`Rule`](crate::params::Rule), and the budget if there is one.
///
/// What was published can be changed by [`ReflectionParams`].
///
/// **The input of a record** is shown to the teacher, which is told that it stays, and it does: a new
/// instruction replaces the instruction only. No proposal can lose or change an input.
///
/// **Costs.** At most two questions to the teacher for each record, and the student scores only what a
/// decision depends on, each text once for a measure. A record with two readable proposals of which the
/// published rule takes the second costs five scores: IFD before and after, reversed IFD before and
/// after, IFD of the final text. A record whose replies cannot be read costs none.
///
/// **What has no score** is not replaced: if the text before or the proposal cannot be scored, the verdict
/// says which and why.
#[derive(Clone, Debug)]
pub struct Reflection {
    pub(crate) params: ReflectionParams,
    pub(crate) prompts: Prompts,
}

/// What a run gives.
#[derive(Clone, Debug)]
pub struct Reflected {
    /// One for each row of the source, in its order.
    pub outcomes: Vec<Outcome>,
    /// What this run did.
    pub work: Work,
}

/// What a run did, without what an earlier one had done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Records that were in the journal.
    pub resumed: usize,
    /// Records that were worked on.
    pub records: usize,
    /// Questions to the teacher.
    pub questions: u64,
    /// Replies that the teacher knew before, and that cost nothing.
    pub cached: u64,
    /// Scores that the student was asked for.
    pub passes: Passes,
}

/// What the teacher works on.
#[derive(Clone, Copy)]
struct Job {
    wave: usize,
    stage: Stage,
}

/// The rows that are still to be worked on.
#[derive(Clone, Copy)]
struct Todo<'a> {
    source: &'a dyn Source,
    places: &'a [usize],
}

impl Todo<'_> {
    fn read(self, places: &[usize]) -> Result<Vec<Record>, ReflectionError> {
        let samples = read_at(self.source, places)?;
        Ok(places.iter().zip(&samples).map(|(&place, row)| Record::new(place, row)).collect())
    }
}

impl Reflection {
    /// Its settings.
    pub fn params(&self) -> &ReflectionParams {
        &self.params
    }

    /// Its prompts.
    pub fn prompts(&self) -> &Prompts {
        &self.prompts
    }

    /// Reflects on the rows of `source`, which are read a wave at a time.
    ///
    /// Every finished record is a line of the journal. Interrupted at any moment and run again, none of
    /// them is worked on again, and journal and outcomes end the same to the byte (if teacher and student answer
    /// the same to the same; a teacher with a cache does). The records of about three waves are worked on
    /// at a time: the teacher's work for one goes on beside the student's for another. Budget and wave may be
    /// another when a journal goes on, but for whether there is a budget.
    ///
    /// A record about which a question had no reply for a reason that [may
    /// pass](crate::NoReply::may_pass) has its outcome, as it stands, but no line:
    /// [`Counts::unanswered`](crate::Counts::unanswered) counts them, and the same run again asks about them
    /// and no others. Their lines then follow behind those of later records.
    ///
    /// # Errors
    /// What concerns all records: the journal is another run's ([`Artifact`](ReflectionError::Artifact) names the field),
    /// rows cannot be read or share an id, the teacher or the student fails.
    pub fn run(
        &self,
        source: &dyn Source,
        teacher: &dyn Teacher,
        student: &mut dyn Student,
        journal: impl AsRef<Path>,
        progress: &mut dyn Progress,
    ) -> Result<Reflected, ReflectionError> {
        check_source(source)?;
        let manifest = self.manifest(source, teacher, student)?;
        let ids = ids_of(source)?;
        let ids: Vec<&SampleId> = ids.iter().collect();
        let (mut journal, mut histories) =
            Journal::open(journal.as_ref(), &manifest, &ids, |history: &History| &history.id)?;
        let todo: Vec<usize> = (0..ids.len()).filter(|&place| histories[place].is_none()).collect();
        let resumed = ids.len() - todo.len();
        let mut work = Work { resumed, records: todo.len(), ..Work::default() };
        progress.start(&tamis_artifact::Stage::new("reflect", "rows", ids.len()).resumed(resumed));
        let closed = AtomicBool::new(false);
        let new = std::thread::scope(|scope| {
            let desk = Desk::open(scope, teacher, &closed);
            let rows = Todo { source, places: &todo };
            self.work_through(rows, &desk, student, &mut journal, &mut work, progress)
        })?;
        for (place, history) in new {
            histories[place] = Some(history);
        }
        progress.finish();
        let histories = histories.into_iter().flatten().collect();
        Ok(Reflected { outcomes: choose(histories, &self.params), work })
    }

    /// What became of records, each with its place.
    fn work_through(
        &self,
        rows: Todo<'_>,
        desk: &Desk<'_, Job>,
        student: &mut dyn Student,
        journal: &mut Journal,
        work: &mut Work,
        progress: &mut dyn Progress,
    ) -> Result<Vec<(usize, History)>, ReflectionError> {
        let mut waves = rows.places.chunks(self.params.wave).enumerate();
        // Asked about their instructions, or about their responses.
        let mut open: BTreeMap<usize, Vec<Record>> = BTreeMap::new();
        let mut done = Vec::with_capacity(rows.places.len());
        let mut begin = |open: &mut BTreeMap<_, _>, work: &mut Work| {
            if let Some((wave, places)) = waves.next() {
                let records = rows.read(places)?;
                self.submit(desk, Job { wave, stage: Stage::Instruction }, &records, work);
                open.insert(wave, records);
            }
            Ok::<(), ReflectionError>(())
        };
        begin(&mut open, work)?;
        while !open.is_empty() {
            let (Job { wave, stage }, replies) = desk.next()?;
            let Some(mut records) = open.remove(&wave) else { continue };
            if stage == Stage::Instruction {
                // The teacher goes on with the next wave while the student scores this one.
                begin(&mut open, work)?;
            }
            self.hear(stage, &mut records, replies, work);
            let keep = self.keep(stage);
            let needs = |record: &Record| record.needs_to_decide(stage, keep);
            score(&mut records, student, &mut work.passes, needs)?;
            for record in &mut records {
                record.decide(stage, keep, self.params.seed);
            }
            if stage == Stage::Instruction {
                self.submit(desk, Job { wave, stage: Stage::Response }, &records, work);
                open.insert(wave, records);
                continue;
            }
            let needs = |record: &Record| record.needs_to_finish(&self.params);
            while score(&mut records, student, &mut work.passes, needs)? {}
            for record in records {
                let (place, history) = (record.place, record.finish());
                // What may be answered another time is not finished.
                if !history.is_unanswered() {
                    journal.append(place, &history)?;
                }
                progress.advance(1);
                done.push((place, history));
            }
        }
        Ok(done)
    }

    fn submit(&self, desk: &Desk<'_, Job>, job: Job, records: &[Record], work: &mut Work) {
        let requests: Vec<ChatRequest> =
            records.iter().filter_map(|record| self.request(job.stage, record)).collect();
        work.questions += requests.len() as u64;
        desk.submit(job, requests);
    }

    /// The question about a record, if it is asked one.
    fn request(&self, stage: Stage, record: &Record) -> Option<ChatRequest> {
        let row = record.row().filter(|_| self.keep(stage) != Keep::Off)?;
        let messages = match stage {
            Stage::Instruction => self.prompts.reflect_instruction(row),
            Stage::Response => self.prompts.reflect_response(row),
        };
        Some(self.params.decoding.request(messages))
    }

    /// Gives each record that was asked about its reply.
    fn hear(&self, stage: Stage, records: &mut [Record], replies: Vec<Heard>, work: &mut Work) {
        if self.keep(stage) == Keep::Off {
            return;
        }
        work.cached += replies.iter().flatten().filter(|reply| reply.cached).count() as u64;
        let asked = records.iter_mut().filter(|record| record.row().is_some());
        for (record, reply) in asked.zip(replies) {
            record.hear(stage, reply);
        }
    }

    fn keep(&self, stage: Stage) -> Keep {
        match stage {
            Stage::Instruction => self.params.instruction,
            Stage::Response => self.params.response,
        }
    }

    /// Everything that decides the journal.
    fn manifest(
        &self,
        source: &dyn Source,
        teacher: &dyn Teacher,
        student: &dyn Student,
    ) -> Result<Manifest, ReflectionError> {
        let ReflectionParams { instruction, response, rule, budget, decoding, seed, wave: _ } =
            &self.params;
        let mut params = Map::new();
        let mut set = |name: &str, value: Value| params.insert(name.to_owned(), value);
        set("instruction", json!(instruction));
        set("response", json!(response));
        set("rule", json!(rule));
        set("budgeted", json!(budget.is_some()));
        set("decoding", json!(decoding));
        if [instruction, response].contains(&&Keep::Random) {
            set("seed", json!(seed));
        }
        Ok(Provenance::new()
            .source(source.fingerprint()?)
            .settings(&params)?
            .made_from("prompts", Fingerprint::of(&self.prompts.reflection_identity())?)
            .made_from("teacher", Fingerprint::from(teacher.identity()))
            .made_from("student", Fingerprint::from(student.identity()))
            .manifest(JOURNAL.0, JOURNAL.1))
    }
}
