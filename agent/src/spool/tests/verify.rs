//! What is damaged is found, in a spool that is stopped and in one that runs; and what can be read is recovered.

use super::*;
use expect_test::expect;

/// A spool with several segments of facts, closed well, of which everything up to position `upto` is acknowledged.
async fn closed(upto: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    for n in 0..40 {
        commit(&spool, (0..20).map(|i| event(Stream::Stock, n * 20 + i)).collect()).await;
    }
    commit(&spool, vec![note("a note"), event(Stream::Till, 0)]).await;
    spool.checkpoint(serde_json::value::to_raw_value(&7u64).unwrap()).await.unwrap();
    read_all(&spool, Lane::Facts).await;
    spool.acknowledge(Lane::Facts, upto);
    spool.close().await.unwrap();
    dir
}

fn found(dir: &Path) -> Vec<Finding> {
    verify(&View::open(dir).unwrap()).unwrap().findings
}

/// What was found, without places: damage, positions, numbers, consequence.
fn told(findings: &[Finding]) -> String {
    let ranges = |finding: &Finding| {
        let positions = finding.positions.iter().map(|hole| format!("{}-{}", hole.first_pos, hole.last_pos));
        let seqs =
            finding.seqs.iter().map(|lost| format!("{} {}-{}", lost.stream, lost.first_seq, lost.last_seq));
        positions.chain(seqs).collect::<Vec<_>>().join(" ")
    };
    let line =
        |finding: &Finding| format!("{:?}: {}: {:?}\n", finding.damage, ranges(finding), finding.consequence);
    findings.iter().map(line).collect()
}

#[tokio::test]
async fn a_whole_spool_is_whole_and_counted() {
    let dir = closed(0).await;
    let verified = verify(&View::open(dir.path()).unwrap()).unwrap();
    assert_eq!(verified.findings, []);
    assert_eq!((verified.events, verified.notes), (801, 1));
    assert_eq!(verified.segments as usize, segments(dir.path(), Lane::Facts).len() + 1);
    assert!(verified.aside.is_empty() && verified.blocks > 10, "{verified:?}");
}

#[tokio::test]
async fn every_file_is_looked_at() {
    let dir = closed(0).await;
    for file in ["spool", "spool-copy", "checkpoint", "facts/lane"] {
        let path = dir.path().join(file);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[25] ^= 1;
        fs::write(&path, bad).unwrap();
        let findings = found(dir.path());
        assert_eq!(
            findings.iter().map(|finding| &finding.path).collect::<Vec<_>>(),
            [&path],
            "{findings:#?}"
        );
        fs::write(&path, good).unwrap();
    }
    // An agent makes good what it finds.
    for file in ["spool", "spool-copy"] {
        fs::write(dir.path().join(file), "rotten").unwrap();
        let (spool, _) = open(dir.path());
        spool.close().await.unwrap();
        assert_eq!(found(dir.path()), []);
    }
    fs::write(dir.path().join("facts/lane"), "rotten").unwrap();
    fs::remove_file(dir.path().join("spool")).unwrap();
    fs::write(dir.path().join("spool-copy"), "rotten").unwrap();
    expect![[r"
        Birth: : Unusable
        LaneFile: : Repeated
    "]]
    .assert_eq(&told(&found(dir.path())));
}

#[tokio::test]
async fn a_block_that_is_gone_is_told_with_its_numbers_and_what_that_costs() {
    let dir = closed(400).await;
    let segments = segments(dir.path(), Lane::Facts);
    let mut expected = String::new();
    // Acknowledged; not acknowledged; and the last one, after which nothing tells.
    for (segment, consequence) in [(0, "Nothing"), (1, "Lost"), (segments.len() - 1, "Lost")] {
        let blocks = Scan::of(&segments[segment]).unwrap().blocks().to_vec();
        let block = if segment == 0 { blocks.first() } else { blocks.last() };
        let lost = damage::damage_block(&segments[segment], block.unwrap().pos);
        let range = format!("{}-{}", lost.pos, lost.end_pos() - 1);
        expected += &format!("Blocks: {range} stock {range}: {consequence}\n");
    }
    assert_eq!(told(&found(dir.path())), expected);
}

#[tokio::test]
async fn what_a_gap_has_told_is_told_no_more() {
    let dir = closed(0).await;
    damage::damage_block(&segments(dir.path(), Lane::Facts)[0], 21);
    let (spool, _) = open(dir.path());
    read_all(&spool, Lane::Facts).await;
    assert_eq!(gaps(&spool).await, [(Stream::Stock, 21, 40, true)].into());
    spool.close().await.unwrap();
    expect![[r"
        Blocks: 21-40 stock 21-40: Stated
    "]]
    .assert_eq(&told(&found(dir.path())));
}

#[tokio::test]
async fn segments_that_are_gone_or_have_lost_their_start_are_found() {
    let dir = closed(0).await;
    let segments = segments(dir.path(), Lane::Facts);
    fs::remove_dir_all(&segments[0]).unwrap();
    fs::remove_file(segments[1].join("db")).unwrap();
    damage::damage_mark(&segments[2]);
    expect![[r"
        Blocks: 1-240 stock 1-480: Lost
        Segment: 241-480 stock 1-480: Lost
        SegmentStart: : Nothing
    "]]
    .assert_eq(&told(&found(dir.path())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_spool_is_whole_whatever_happens_to_it_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let (looked, path) = (spool.clone(), dir.path().to_owned());
    let looking = tokio::task::spawn_blocking(move || {
        let view = View::open(&path).unwrap().asking(move || Ok(looked.live()));
        let mut events = 0;
        for _ in 0..10 {
            let verified = verify(&view).unwrap();
            assert_eq!(verified.findings, []);
            events += verified.events;
            Standing::of(&view, None, None).unwrap();
        }
        events
    });
    let mut n = 0;
    while !looking.is_finished() {
        commit(&spool, (0..20).map(|i| event(Stream::Stock, n + i)).collect()).await;
        n += 20;
        if n % 200 == 0 {
            let (_, upto) = read_all(&spool, Lane::Facts).await;
            spool.acknowledge(Lane::Facts, upto - 50);
            spool.checkpoint(serde_json::value::to_raw_value(&n).unwrap()).await.unwrap();
        }
    }
    assert!(looking.await.unwrap() > 0);
}

#[tokio::test]
async fn damage_in_a_running_spool_is_found() {
    let dir = closed(0).await;
    damage::damage_block(&segments(dir.path(), Lane::Facts)[0], 21);
    let (spool, _) = open(dir.path());
    commit(&spool, vec![event(Stream::Stock, 800)]).await;
    let verified = tokio::task::spawn_blocking({
        let (spool, path) = (spool.clone(), dir.path().to_owned());
        move || verify(&View::open(&path).unwrap().asking(move || Ok(spool.live()))).unwrap()
    });
    expect![[r"
        Blocks: 21-40 stock 21-40: Lost
    "]]
    .assert_eq(&told(&verified.await.unwrap().findings));
}

#[tokio::test]
async fn how_a_spool_stands_is_the_same_stopped_and_running() {
    let dir = closed(25).await;
    let stopped = Standing::of(&View::open(dir.path()).unwrap(), None, None).unwrap();
    let facts = &stopped.lanes[Lane::Facts as usize];
    assert_eq!(
        (facts.cursor, facts.next_pos, facts.waiting_events, facts.waiting_notes),
        (25, 801, 775, Some(0))
    );
    assert_eq!(facts.streams, [StreamStanding { stream: Stream::Stock, first_seq: 26, next_seq: 801 }]);
    let slots = &stopped.lanes[Lane::Slots as usize];
    assert_eq!((slots.waiting_events, slots.waiting_notes, slots.oldest_at), (1, Some(1), Some(NOW)));
    let (spool, _) = open(dir.path());
    let (live, path) = (spool.clone(), dir.path().to_owned());
    let running = tokio::task::spawn_blocking(move || {
        Standing::of(&View::open(&path).unwrap().asking(move || Ok(live.live())), None, None).unwrap()
    });
    let running = running.await.unwrap();
    assert_eq!(running, Standing { is_running: true, ..stopped });
}

#[tokio::test]
async fn what_checksums_allow_is_recovered_once() {
    let dir = closed(0).await;
    let segments = segments(dir.path(), Lane::Facts);
    // A copy that is whole, and one that is not, of the same segment.
    let quarantine = dir.path().join("quarantine");
    fs::create_dir(&quarantine).unwrap();
    copy_dir(&segments[0], &quarantine.join(format!("facts-{}", dirs::name(1))));
    damage::damage_block(&segments[0], Scan::of(&segments[0]).unwrap().blocks()[1].pos);
    let lost = damage::damage_block(&segments[1], 241);
    let lost = lost.pos..lost.end_pos();
    let salvage = |path: &Path| {
        let spools = copies(path).unwrap();
        assert_eq!(spools.len(), 1);
        let (mut salvage, mut seqs) = (Salvage::default(), BTreeSet::new());
        for segment in &spools[0].dirs {
            let mut on_event = |entry: &Entry, is_unconfirmed: bool| {
                assert!(!is_unconfirmed, "{entry:?}");
                let Record { stream, seq, .. } = entry.record;
                assert!(seqs.insert((stream, seq)), "{stream} {seq} twice");
                Ok(())
            };
            salvage.read(segment, &mut on_event).unwrap();
        }
        assert!(spools[0].spool_id.is_some());
        (salvage.finish(), seqs)
    };
    let (recovered, seqs) = salvage(dir.path());
    let expected: BTreeSet<_> =
        (1..=800).filter(|seq| !lost.contains(seq)).map(|seq| (Stream::Stock, seq)).collect();
    assert!(seqs.into_iter().filter(|(stream, _)| *stream == Stream::Stock).eq(expected));
    assert_eq!(
        (recovered.events, recovered.unconfirmed_events, recovered.missing.len()),
        (801 - lost.clone().count() as u64, 0, 1)
    );
    assert_eq!(
        recovered.missing[0].seqs,
        [SeqRange { stream: Stream::Stock, first_seq: 241, last_seq: lost.end - 1 }]
    );
    // One of them, by itself.
    let (recovered, _) = salvage(&segments[0]);
    assert_eq!(recovered.events + recovered.missing[0].records, 240);
}

#[tokio::test]
async fn a_commit_that_was_cut_off_is_unconfirmed() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    commit(&spool, vec![event(Stream::Stock, 0)]).await;
    // More than a block.
    commit(&spool, (1..200).map(|n| event(Stream::Stock, n)).collect()).await;
    spool.close().await.unwrap();
    let segment = segments(dir.path(), Lane::Facts).pop().unwrap();
    let blocks = Scan::of(&segment).unwrap().blocks().to_vec();
    assert!(blocks.len() > 2, "{blocks:?}");
    damage::damage_block(&segment, blocks.last().unwrap().pos);
    let mut salvage = Salvage::default();
    salvage.read(&segment, |_, _| Ok(())).unwrap();
    let recovered = salvage.finish();
    let left = blocks.last().unwrap().pos - 1;
    assert_eq!((recovered.events, recovered.unconfirmed_events), (left, left - 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_come_and_go_while_a_tool_looks() {
    let dir = closed(0).await;
    let live: Arc<Mutex<Option<Spool>>> = Arc::default();
    let (asked, path) = (live.clone(), dir.path().to_owned());
    let looking = tokio::task::spawn_blocking(move || {
        let no_answer = || SpoolError::NoAnswer { dir: PathBuf::new(), why: String::new() };
        let ask = move || asked.lock().unwrap().as_ref().map(Spool::live).ok_or_else(no_answer);
        let view = View::open(&path).unwrap().asking(ask);
        for _ in 0..20 {
            assert_eq!(verify(&view).unwrap().findings, []);
        }
    });
    let mut n = 800;
    while !looking.is_finished() {
        let (spool, _) = open(dir.path());
        *live.lock().unwrap() = Some(spool.clone());
        commit(&spool, (0..20).map(|i| event(Stream::Stock, n + i)).collect()).await;
        n += 20;
        let (_, upto) = read_all(&spool, Lane::Facts).await;
        spool.acknowledge(Lane::Facts, upto - 300);
        spool.checkpoint(serde_json::value::to_raw_value(&n).unwrap()).await.unwrap();
        spool.close().await.unwrap();
        *live.lock().unwrap() = None;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    looking.await.unwrap();
}
