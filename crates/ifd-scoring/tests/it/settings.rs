//! Settings that cannot be honoured, presets, texts of settings, estimates.

use tamis_dataset::Template;
use tamis_ifd_scoring::{
    DirectContext, IfdError, IfdScorer, Measure, Measures, Preset, Ratio, ScoreParams,
};
use tamis_model::DType;
use tamis_selection::Filter;
use tamis_selection::selectors::ByScore;

use crate::common::{model, pool, short, tokenizer};

fn refused(params: ScoreParams) -> String {
    params.check().unwrap_err().to_string()
}

#[test]
fn what_cannot_be_honoured_is_refused_by_name() {
    let default = ScoreParams::default;
    assert!(refused(ScoreParams { token_budget: 0, ..default() }).contains("`token_budget` is 0"));
    assert!(refused(ScoreParams { shard_rows: 0, ..default() }).contains("shard_rows"));
    assert!(refused(ScoreParams { max_length: 1, ..default() }).contains("`max_length` is 1"));
    let none = Measures { ppl: false, ifd: false, r_ifd: false };
    assert!(refused(ScoreParams { measures: none, ..default() }).contains("measures"));
    for request in ["no place", "{response} and {response}"] {
        let request = request.to_owned();
        let params = ScoreParams { request: request.clone(), measures: Measures::ALL, ..default() };
        assert!(refused(params).contains("{response}"));
        // Nobody asks for it.
        assert!(ScoreParams { request, ..default() }.check().is_ok());
    }
    let cue = |template| ScoreParams { template, direct: DirectContext::Cue, ..default() };
    for template in [Template::None, Template::Chat] {
        assert!(refused(cue(template)).contains("template"));
    }
    assert!(cue(Template::Vicuna).check().is_ok());
    let template = Template::Translation { target_language: "English".into() };
    let params = ScoreParams { template, measures: Measures::ALL, ..default() };
    assert!(refused(params).contains("translation"));
}

#[test]
fn a_limit_beyond_the_model_is_refused() {
    let model = model("begins", DType::F32);
    let error = IfdScorer::new(model.as_ref(), tokenizer("begins"), ScoreParams::default());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("`max_length` is 1024") && error.contains("at most 320"), "{error}");
}

#[test]
fn presets_are_what_was_published() {
    let cherry = Preset::Cherry;
    assert_eq!(cherry.scoring().ratio, Ratio::Loss);
    assert_eq!(cherry.scoring().direct, DirectContext::Cue);
    assert_eq!(cherry.scoring().template, Template::Alpaca);
    assert_eq!(cherry.selection().filters[0].filter, Filter::AtMost(1.0));
    let superfiltering = Preset::Superfiltering;
    assert_eq!(superfiltering.scoring().ratio, Ratio::Perplexity);
    assert_eq!(superfiltering.scoring().template, Template::None);
    assert_eq!(superfiltering.selection().filters[0].filter, Filter::Below(1.0));
    let reflection = Preset::Reflection;
    assert_eq!(reflection.scoring().template, Template::Vicuna);
    assert!(reflection.scoring().measures.r_ifd);
    for preset in Preset::ALL {
        assert_eq!(preset.to_string().parse::<Preset>().unwrap(), preset);
        assert!(preset.scoring().check().is_ok() && preset.selection().check().is_ok());
        let json = serde_json::to_string(&preset).unwrap();
        assert_eq!(json, format!("\"{preset}\""));
        let params = preset.scoring();
        let text = serde_json::to_string(&params).unwrap();
        assert_eq!(serde_json::from_str::<ScoreParams>(&text).unwrap(), params);
        let params = preset.selection();
        let text = serde_json::to_string(&params).unwrap();
        assert_eq!(serde_json::from_str::<ByScore>(&text).unwrap(), params);
    }
    assert!(matches!("ifd".parse::<Preset>(), Err(IfdError::Parameter(_))));
    for measure in Measure::ALL {
        assert_eq!(measure.to_string().parse::<Measure>().unwrap(), measure);
        assert_eq!(serde_json::to_string(&measure).unwrap(), format!("\"{measure}\""));
    }
}

#[test]
fn an_estimate_is_what_is_run() {
    let model = model("begins", DType::F32);
    let samples = pool(20);
    let params = short(Preset::Reflection.scoring());
    let scorer = IfdScorer::new(model.as_ref(), tokenizer("begins"), params).unwrap();
    let (_, work) = scorer.score_counted(&samples).unwrap();
    let estimate = scorer.estimate(&samples, 2000).unwrap();
    let total = |name| estimate.total(name).unwrap();
    let (tokens, targets) = (total("tokens to read"), total("tokens to predict"));
    assert_eq!(tokens.round() as usize, 100 * work.tokens);
    assert_eq!(targets.round() as usize, 100 * work.targets);
    assert!(estimate.to_string().contains("2000 rows"));
    // A product with a matrix of n weights is 2n operations a token.
    let head = (16 * model.shape().vocab_size) as f64;
    let body: i64 =
        model.layers().iter().filter(|l| !l.head).map(|l| l.in_features * l.out_features).sum();
    let flops = 2.0 * (tokens * body as f64 + targets * head);
    assert!((estimate.total_flops().unwrap() / flops - 1.0).abs() < 1e-12);
}
