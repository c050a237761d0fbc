/// Unpacks zip files.
#pragma once

#include <filesystem>

namespace nanochat {

/// Unpacks all of `zip` into `folder`, which gets its name when all of it is there: at every moment
/// it is whole or not there. What stands in the zip below a folder of that name is taken from there
/// ("eval_bundle/core.yaml" lands in <folder>/core.yaml when `folder` ends in eval_bundle); all
/// else that the zip holds is left out then. The folder must not be there yet.
///
/// Throws NotFoundError; DataError for a file that is no zip, is damaged (checksums are compared),
/// or has entries that point out of the folder; IoError.
void unzip(const std::filesystem::path& zip, const std::filesystem::path& folder);

}  // namespace nanochat
