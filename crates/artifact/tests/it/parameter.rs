//! The one error of settings.

use tamis_artifact::ParameterError;

fn said(result: Result<(), ParameterError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn ranges_hold_at_their_ends() {
    ParameterError::at_least("k", 1, 1).unwrap();
    assert_eq!(said(ParameterError::at_least("k", 1, 2)), "`k` is 1, expected at least 2");
    ParameterError::within("share", 0.0, 0.0..=1.0).unwrap();
    ParameterError::within("share", 1.0, 0.0..=1.0).unwrap();
    assert_eq!(
        said(ParameterError::within("share", 1.5, 0.0..=1.0)),
        "`share` is 1.5, expected a number from 0 to 1"
    );
    assert_eq!(
        said(ParameterError::within("order", 7, 1..=6)),
        "`order` is 7, expected a number from 1 to 6"
    );
    ParameterError::finite_from("tolerance", 0.0, 0.0).unwrap();
    assert_eq!(
        said(ParameterError::finite_from("tolerance", -0.1, 0.0)),
        "`tolerance` is -0.1, expected a finite number of at least 0"
    );
    ParameterError::finite_above("rate", 1e-9, 0.0).unwrap();
    assert_eq!(
        said(ParameterError::finite_above("rate", 0.0, 0.0)),
        "`rate` is 0, expected a finite number above 0"
    );
}

#[test]
fn what_is_no_number_is_in_no_range() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        ParameterError::finite("x", value).unwrap_err();
        ParameterError::finite_from("x", value, 0.0).unwrap_err();
        ParameterError::finite_above("x", value, 0.0).unwrap_err();
        ParameterError::within("x", value, 0.0..=2.0).unwrap_err();
    }
}

#[test]
fn a_hint_comes_last() {
    let refused = ParameterError::new("stop", "empty", "a token").with_hint("name one with --stop");
    assert_eq!(refused.to_string(), "`stop` is empty, expected a token; name one with --stop");
}
