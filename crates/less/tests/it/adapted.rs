//! A model with its adapter beside it, against the one whose weights hold it.

use tamis_finetune::{Adapted, Lora};
use tamis_gradients::{GradientPass, PassParams, ProjectionSpec};
use tamis_model::{
    CausalLm, DType, LayerPattern, NoTap, Pool, Reduction, mean_pooled_hidden, per_sample_loss,
};
use tch::{Device, Kind};

use crate::common::{fixture, relative_error, samples, warm_up};

#[test]
fn gradients_losses_and_states_are_those_of_the_merged_model() {
    for name in ["llama", "gpt2"] {
        let dir = tempfile::tempdir().unwrap();
        let folder = warm_up(name, DType::F64, dir.path(), 1).remove(1);
        let (mut model, mut merged) = (fixture(name, DType::F64), fixture(name, DType::F64));
        let mut lora = Lora::load(&folder, model.as_ref()).unwrap();
        let data = samples(model.as_ref(), 6, 12, 2);
        let layers = LayerPattern::default().select(model.layers()).unwrap();
        let spec: ProjectionSpec = "full".parse().unwrap();
        let full = spec.build(&layers, 0, Kind::Double, Device::Cpu).unwrap();
        let batch = tamis_model::Batch::new(&data.iter().collect::<Vec<_>>(), Device::Cpu).unwrap();
        let seen = |model: &dyn CausalLm| {
            let pass = GradientPass { model, layers: &layers, params: PassParams::default() };
            tch::no_grad(|| {
                let loss = per_sample_loss(model, &batch, Reduction::Mean, &mut NoTap).unwrap();
                let states = mean_pooled_hidden(model, &batch, Pool::All).unwrap();
                [pass.rows_of(&data, &full).unwrap().rows, loss, states]
            })
        };
        let plain = seen(model.as_ref());
        lora.merge(merged.as_mut()).unwrap();
        let expected = seen(merged.as_ref());
        let found = seen(&Adapted::new(model.as_mut(), &mut lora));
        for ((found, expected), plain) in found.iter().zip(&expected).zip(&plain) {
            assert!(relative_error(found, expected) < 1e-10, "{name}");
            // And the adapter changes them.
            assert!(relative_error(plain, expected) > 1e-4, "{name}");
        }
        // The model comes back as it was.
        let again = seen(model.as_ref());
        assert!(relative_error(&again[0], &plain[0]) < 1e-14);
    }
}
