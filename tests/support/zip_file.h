/// Zip files for tests.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <minizip/zip.h>

namespace nanochat::test {

/// Writes a zip of these (name, contents), compressed; a name that ends in a slash is a folder.
inline void write_zip(const std::string& path,
                      const std::vector<std::pair<std::string, std::string>>& entries) {
  zipFile zip = ::zipOpen64(path.c_str(), APPEND_STATUS_CREATE);
  ASSERT_NE(zip, nullptr);
  for (const auto& [name, contents] : entries) {
    ASSERT_EQ(::zipOpenNewFileInZip(zip, name.c_str(), nullptr, nullptr, 0, nullptr, 0, nullptr,
                                    Z_DEFLATED, Z_DEFAULT_COMPRESSION),
              ZIP_OK);
    ::zipWriteInFileInZip(zip, contents.data(), static_cast<unsigned>(contents.size()));
    ::zipCloseFileInZip(zip);
  }
  ::zipClose(zip, nullptr);
}

}  // namespace nanochat::test
