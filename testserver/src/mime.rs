//! The media type of a file, which comes from its extension and from nothing else.

/// The media type the server gives a path; unknown and missing extensions are `application/octet-stream`.
pub(crate) fn of_path(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some((_, extension)) = name.rsplit_once('.') else {
        return OCTET_STREAM;
    };
    by_extension(&extension.to_ascii_lowercase())
}

/// `Content-Type` of a content answer: text-like types get a charset.
pub(crate) fn content_type(mime_type: &str) -> String {
    let textual =
        mime_type.starts_with("text/") || matches!(mime_type, "application/json" | "application/xml" | "image/svg+xml");
    if textual { format!("{mime_type}; charset=utf-8") } else { mime_type.to_owned() }
}

const OCTET_STREAM: &str = "application/octet-stream";

fn by_extension(extension: &str) -> &'static str {
    match extension {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        "ico" => "image/x-icon",
        "bmp" => "image/bmp",
        "tiff" => "image/tiff",
        "avif" => "image/avif",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "avi" => "video/x-msvideo",
        "mov" => "video/quicktime",
        "mkv" => "video/x-matroska",
        "wmv" => "video/x-ms-wmv",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "ogg" => "audio/ogg",
        "flac" => "audio/flac",
        "aac" => "audio/aac",
        "m4a" => "audio/mp4",
        "pdf" => "application/pdf",
        "doc" => "application/msword",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xls" => "application/vnd.ms-excel",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "ppt" => "application/vnd.ms-powerpoint",
        "pptx" => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "zip" => "application/zip",
        "tar" => "application/x-tar",
        "gz" => "application/gzip",
        "7z" => "application/x-7z-compressed",
        "rar" => "application/vnd.rar",
        "json" => "application/json",
        "xml" => "application/xml",
        "js" | "mjs" | "jsx" => "text/javascript",
        "ts" | "tsx" => "text/typescript",
        "html" | "htm" => "text/html",
        "css" => "text/css",
        "csv" => "text/csv",
        "md" => "text/markdown",
        "txt" => "text/plain",
        "yaml" | "yml" => "text/yaml",
        "toml" => "text/toml",
        "rs" => "text/x-rust",
        "cs" => "text/x-csharp",
        "py" => "text/x-python",
        "rb" => "text/x-ruby",
        "go" => "text/x-go",
        "java" => "text/x-java",
        "c" | "h" => "text/x-c",
        "cpp" | "hpp" => "text/x-c++",
        "swift" => "text/x-swift",
        "kt" => "text/x-kotlin",
        "sh" | "bash" => "text/x-shellscript",
        "sql" => "text/x-sql",
        "dockerfile" => "text/x-dockerfile",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "otf" => "font/otf",
        "wasm" => "application/wasm",
        _ => OCTET_STREAM,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_extension_counts() {
        assert_eq!(of_path("a/b.PNG"), "image/png");
        assert_eq!(of_path("x.tar.gz"), "application/gzip");
        for unknown in ["noext", "d.txt/noext", ".hidden", "dots...", " sp .txt "] {
            assert_eq!(of_path(unknown), OCTET_STREAM, "{unknown}");
        }
    }
}
