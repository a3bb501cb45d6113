use longshore_actors::{DecisionError, Selection, SignRefused};
use longshore_model::{ExportClaims, ExportId, ReceiptVerifier, Sha256};

use super::world::{declared, world};

#[actix::test]
async fn an_export_is_signed_once_and_that_is_recorded() {
    let world = world().await;
    let upload = world.upload().await;
    world.send_the_rest(upload).await;
    let selection = Selection { recordings: vec![declared().rid], ..Selection::default() };
    let plan = world.engine.export(selection, "admin".into()).await.unwrap();
    let (export, verifier) = (plan.export, ReceiptVerifier::new(&plan.keys).unwrap());
    let sign = |export, list: &[u8]| world.engine.sign_export(export, Sha256::of(list), "admin".into());
    let signed = sign(export, b"list").await.unwrap();
    let claims: ExportClaims = verifier.statement(&signed).unwrap();
    assert_eq!((claims.export, claims.files), (export, Sha256::of(b"list")));
    let facts = || world.engine.catalogue().index().applied().unwrap().unwrap().seq;
    let before = facts();
    // The answer was lost: the same list is signed again, and nothing new is recorded.
    sign(export, b"list").await.unwrap();
    let refused = sign(export, b"another list").await;
    assert!(matches!(refused, Err(DecisionError::Refused(SignRefused::Signed(id))) if id == export), "{refused:?}");
    let unknown = sign(ExportId::from_bytes([7; 16]), b"list").await;
    assert!(matches!(unknown, Err(DecisionError::Refused(SignRefused::Unknown(_)))), "{unknown:?}");
    assert_eq!(facts(), before);
    let audit = world.engine.catalogue().index().audit(None, 10).unwrap();
    assert!(audit.iter().any(|line| line.did == "export_signed" && line.about == export.to_string()), "{audit:?}");
}
