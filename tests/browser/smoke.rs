//! That the rig itself works: a page is opened, asked and answered.

use crate::rig;

#[tokio::test]
async fn the_rig_opens_a_page_and_talks_with_the_test() {
    let mut asked = Vec::new();
    let answer = async |word: &str| {
        asked.push(word.to_owned());
        "ü <b> %".to_owned()
    };
    rig::run("smoke.mjs", &[], answer).await;
    assert!(asked.is_empty() || asked == ["what to show"]);
}
