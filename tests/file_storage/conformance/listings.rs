//! Metadata, listings and deletions.

use std::collections::HashSet;

use carbonfiles::file_storage::models::{FileSort, StoredFile};
use carbonfiles::models::Order;
use futures::TryStreamExt;

use super::{Context, operations, unique};

const UNKNOWN: &str = "ed3fdba2-4810-4db0-803e-d4c6402dfb9b";

/// So many files whose names hold a word that no other name holds.
async fn many(context: &Context, count: usize) -> (String, Vec<StoredFile>) {
    let word = unique("");
    let mut stored = Vec::new();
    for n in 0..count {
        let name = format!("{word}-{n:03}.txt");
        stored.push(context.client.files().upload(vec![b'x'; count - n]).filename(name).await.unwrap());
    }
    (word, stored)
}

fn names(files: &[StoredFile]) -> Vec<&str> {
    files.iter().map(|file| file.filename.as_str()).collect()
}

operations! {
    get_what_a_file_is => |context| {
        let stored = context.file("x", ".txt").await;
        assert_eq!(context.client.file(&stored.id).get().await.unwrap(), stored);
        assert_eq!(context.client.files()[&stored.id].get().await.unwrap(), stored);
    }
    get_by_any_form_of_id => |context| {
        let stored = context.file("x", ".txt").await;
        for id in [stored.id.replace('-', ""), stored.id.to_uppercase(), format!("urn:uuid:{}", stored.id)] {
            assert_eq!(context.client.file(id).get().await.unwrap().id, stored.id);
        }
    }
    get_opt => |context| {
        let stored = context.file("x", ".txt").await;
        assert!(context.client.file(&stored.id).get_opt().await.unwrap().is_some());
        assert!(context.client.file(UNKNOWN).get_opt().await.unwrap().is_none());
        assert!(context.client.file(UNKNOWN).get().await.unwrap_err().is_not_found());
    }
    ids_that_are_none_are_refused => |context| {
        for id in ["", "7", "../files", "bulk-delete"] {
            let error = context.client.file(id).get_opt().await.unwrap_err();
            assert!(error.is_invalid_input() && error.attempts() == 0);
        }
    }
    list_one_page => |context| {
        let (word, stored) = many(&context, 3).await;
        let page = context.client.files().list().search(&word).await.unwrap();
        assert_eq!((page.total, page.limit, page.offset, page.has_more()), (3, 20, 0, false));
        assert_eq!(page.items[0].id, stored[2].id, "newest first");
    }
    list_the_second_page => |context| {
        let (word, stored) = many(&context, 5).await;
        let page = context.client.files().list().search(&word).sort(FileSort::Name).per_page(2).page(2).await.unwrap();
        assert_eq!((page.total, page.limit, page.offset, page.has_more()), (5, 2, 2, true));
        assert_eq!(names(&page.items), names(&stored[2..4]));
    }
    list_past_the_end => |context| {
        let page = context.client.files().list().page(1_000_000).await.unwrap();
        assert!(page.items.is_empty() && !page.has_more());
    }
    bad_pages_are_refused => |context| {
        for error in [
            context.client.files().list().page(0).await.unwrap_err(),
            context.client.files().list().per_page(201).await.unwrap_err(),
            context.client.files().list_all().per_page(0).items().try_next().await.unwrap_err(),
        ] {
            assert!(error.is_invalid_input() && error.attempts() == 0);
        }
    }
    search_takes_signs_as_they_are => |context| {
        let word = unique("_100%");
        let stored = context.client.files().upload("x".as_bytes()).filename(&word).await.unwrap();
        let files = context.client.files();
        assert_eq!(files.list().search(word.to_uppercase()).await.unwrap().items[0].id, stored.id);
        assert_eq!(files.list().search(word.replace('_', "%")).await.unwrap().total, 0);
    }
    list_by_type => |context| {
        let word = unique("");
        for suffix in [".png", ".gif", ".txt"] {
            context.client.files().upload("x".as_bytes()).filename(format!("{word}{suffix}")).await.unwrap();
        }
        let list = || context.client.files().list().search(&word);
        assert_eq!(list().content_type("image/").await.unwrap().total, 2);
        assert_eq!(list().content_type("image/png").await.unwrap().total, 1);
        assert_eq!(list().content_type("image").await.unwrap().total, 0);
    }
    sort_by_name => |context| {
        let (word, stored) = many(&context, 4).await;
        let list = || context.client.files().list().search(&word).sort(FileSort::Name);
        assert_eq!(names(&list().await.unwrap().items), names(&stored));
        let down = list().order(Order::Desc).await.unwrap();
        assert_eq!(names(&down.items), names(&stored.iter().rev().cloned().collect::<Vec<_>>()));
    }
    sort_by_size => |context| {
        let (word, stored) = many(&context, 3).await;
        let list = || context.client.files().list().search(&word).sort(FileSort::Size);
        assert_eq!(list().await.unwrap().items[0].id, stored[0].id, "the largest first");
        assert_eq!(list().order(Order::Asc).await.unwrap().items[0].id, stored[2].id);
    }
    sort_by_time => |context| {
        let (word, stored) = many(&context, 3).await;
        let list = || context.client.files().list().search(&word);
        assert_eq!(names(&list().order(Order::Asc).await.unwrap().items), names(&stored));
        assert_eq!(names(&list().sort(FileSort::CreatedAt).order(Order::Asc).await.unwrap().items), names(&stored));
        let newest: Vec<_> = stored.iter().rev().cloned().collect();
        assert_eq!(names(&list().sort(FileSort::CreatedAt).await.unwrap().items), names(&newest));
    }
    list_all_pages => |context| {
        let (word, stored) = many(&context, 23).await;
        for rows in [1, 2, 5, 22, 23, 200, 1000] {
            let all = context.client.files().list_all().search(&word).sort(FileSort::Name).per_page(rows);
            let all: Vec<_> = all.items().try_collect().await.unwrap();
            assert_eq!(names(&all), names(&stored), "{rows} rows a page");
        }
    }
    list_all_while_files_go => |context| {
        let (word, stored) = many(&context, 24).await;
        let mut all = context.client.files().list_all().search(&word).sort(FileSort::Name).per_page(6);
        let mut seen = HashSet::new();
        let mut gone = HashSet::new();
        while let Some(page) = all.try_next().await.unwrap() {
            seen.extend(page.items.into_iter().map(|file| file.id));
            // One of those that were listed goes: all that follow move up.
            if let Some(first) = stored.iter().find(|file| seen.contains(&file.id) && !gone.contains(&file.id)) {
                context.client.file(&first.id).delete().await.unwrap();
                gone.insert(first.id.clone());
            }
        }
        assert!(stored.iter().filter(|file| !gone.contains(&file.id)).all(|file| seen.contains(&file.id)));
    }
    list_nothing => |context| {
        let pages: Vec<_> = context.client.files().list_all().search(unique("")).try_collect().await.unwrap();
        assert_eq!((pages.len(), pages[0].total), (1, 0));
    }
    delete_once => |context| {
        let stored = context.file("x", ".txt").await;
        let file = context.client.file(&stored.id);
        file.delete().await.unwrap();
        assert!(file.delete().await.unwrap_err().is_not_found());
        assert!(file.download().await.unwrap_err().is_not_found());
    }
    delete_many => |context| {
        let (word, stored) = many(&context, 3).await;
        let mut ids: Vec<_> = stored.iter().map(|file| file.id.clone()).collect();
        ids.push(ids[0].clone());
        // More than the service takes at once.
        ids.extend((0..250).map(|n| format!("ed3fdba2-4810-4db0-803e-{n:012x}")));
        let gone = context.client.files().bulk_delete(&ids).await.unwrap();
        assert_eq!((gone.deleted, gone.ids.len()), (3, 3));
        assert_eq!(context.client.files().list().search(&word).await.unwrap().total, 0);
    }
    delete_nothing => |context| {
        assert_eq!(context.client.files().bulk_delete([] as [&str; 0]).await.unwrap().deleted, 0);
        let stored = context.file("x", ".txt").await;
        assert!(context.client.files().bulk_delete([stored.id.as_str(), "7"]).await.unwrap_err().is_invalid_input());
        assert!(context.client.file(&stored.id).get_opt().await.unwrap().is_some());
    }
}
