/// The functions of the parquet module, for the files around it.
#pragma once

#include "data/parquet/module.h"

namespace nanochat {

struct ParquetModule {
  ParquetOpenFunction* open;
  ParquetOpenRowsFunction* open_rows;
  ParquetCreateFunction* create;
};

/// Loads it with the first call. Throws UsageError when this build has no parquet support.
/// Thread-safe.
[[nodiscard]] const ParquetModule& parquet_module();

}  // namespace nanochat
