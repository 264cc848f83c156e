//! Options as users write them.

use tamis_model::{
    DType, DeviceSpec, LayerPattern, LoadOptions, ModelError, configure_threads, load, load_cuda,
};
use tch::Kind;

use crate::support::{folder, model};

#[test]
fn devices() {
    for (text, device) in [
        ("auto", DeviceSpec::Auto),
        ("cpu", DeviceSpec::Cpu),
        ("cuda:0", DeviceSpec::Cuda(0)),
        ("cuda:3", DeviceSpec::Cuda(3)),
    ] {
        assert_eq!(text.parse::<DeviceSpec>().unwrap(), device);
        assert_eq!(device.to_string(), text);
        let json = serde_json::to_string(&device).unwrap();
        assert_eq!(json, format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<DeviceSpec>(&json).unwrap(), device);
    }
    for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:x"] {
        let problem = text.parse::<DeviceSpec>().unwrap_err().to_string();
        assert!(problem.contains("auto, cpu or cuda:N"), "{problem}");
    }
}

#[test]
fn cuda_by_name_is_there_or_refused() {
    let options = LoadOptions { device: DeviceSpec::Cuda(0), ..LoadOptions::default() };
    match (load_cuda(), load(folder("llama"), &options)) {
        (Ok(_), Ok(model)) => assert!(model.shape().device.is_cuda()),
        (Err(reason), Err(ModelError::CudaUnavailable { device, reason: told })) => {
            assert_eq!((device.as_str(), &told), ("cuda:0", &reason));
        }
        (found, loaded) => panic!("{found:?}, but loading gave {:?}", loaded.err()),
    }
    let options = LoadOptions { device: DeviceSpec::Cuda(1000), ..LoadOptions::default() };
    assert!(matches!(load(folder("llama"), &options), Err(ModelError::CudaUnavailable { .. })));
    // `auto` always finds something.
    load(folder("llama"), &LoadOptions::default()).unwrap();
}

#[test]
fn kinds() {
    for (text, dtype) in
        [("f32", DType::F32), ("f16", DType::F16), ("bf16", DType::Bf16), ("f64", DType::F64)]
    {
        assert_eq!(text.parse::<DType>().unwrap(), dtype);
        assert_eq!(dtype.to_string(), text);
        assert_eq!(DType::try_from(dtype.kind()).unwrap(), dtype);
        assert_eq!(serde_json::to_string(&dtype).unwrap(), format!("\"{text}\""));
    }
    assert!("int8".parse::<DType>().is_err());
    assert!(DType::try_from(Kind::Int64).is_err());
    let options: LoadOptions =
        serde_json::from_str(r#"{"kind": "f64", "attention": "math"}"#).unwrap();
    assert_eq!((options.kind, options.device), (DType::F64, DeviceSpec::Auto));
    assert!(serde_json::from_str::<LoadOptions>(r#"{"dtype": "f64"}"#).is_err(), "a typo");
}

#[test]
fn patterns() {
    let model = model("llama", DType::F32);
    let layers = model.layers();
    let names = |pattern: &LayerPattern| -> Vec<String> {
        pattern.select(layers).unwrap().into_iter().map(|layer| layer.name).collect()
    };
    assert_eq!(names(&LayerPattern::default()).len(), layers.len() - 1);
    assert!(!names(&LayerPattern::default()).contains(&"lm_head".to_owned()));
    let pattern: LayerPattern = r"layers\.1\..*(q|v)_proj$".parse().unwrap();
    assert_eq!(
        names(&pattern),
        ["model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.v_proj"]
    );
    assert_eq!(names(&"lm_head".parse().unwrap()), ["lm_head"]);
    assert_eq!(names(&".".parse().unwrap()).len(), layers.len());

    let problem = "nothing".parse::<LayerPattern>().unwrap().select(layers).unwrap_err();
    assert!(problem.to_string().contains("model.layers.0.self_attn.q_proj"), "{problem}");
    let problem = "(".parse::<LayerPattern>().unwrap_err().to_string();
    assert!(problem.contains("layer pattern `(`"), "{problem}");

    for pattern in [LayerPattern::default(), pattern] {
        let json = serde_json::to_string(&pattern).unwrap();
        let again: LayerPattern = serde_json::from_str(&json).unwrap();
        assert_eq!(names(&again), names(&pattern));
    }
}

#[test]
fn threads() {
    // The pool of this process has one size, so no other can be asked for; that is said, and nothing changes.
    let all = configure_threads(None).unwrap().count;
    let held = || (rayon::current_num_threads(), tch::get_num_threads() as usize);
    assert_eq!(held(), (all, all));
    assert_eq!(configure_threads(Some(all)).unwrap().count, all);
    let error = configure_threads(Some(all + 1)).unwrap_err().to_string();
    assert!(error.contains(&format!("{} threads were asked for", all + 1)), "{error}");
    assert_eq!(held(), (all, all));
}
