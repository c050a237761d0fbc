/// Parts of the program that are loaded when they are first used, because the libraries that they
/// need take longer to load than the rest of the program to start.
#pragma once

namespace nanochat {

/// Opens the module of that file name, for good: beside the program, where an installation puts it
/// (../lib/nanochat), or where it was built (`built_at`; null: nowhere). Null when it is in none of
/// these places. Throws UsageError when it is there and cannot be loaded; `what` begins that
/// message ("parquet support").
[[nodiscard]] void* open_module(const char* file_name, const char* built_at, const char* what);

/// A pointer to data, in which POSIX promises that one to a function fits; null when there is none.
[[nodiscard]] void* find_module_symbol(void* module, const char* name);

/// The function of that name in an open module; null when it has none.
template <typename Function>
[[nodiscard]] Function* find_function(void* module, const char* name) {
  return reinterpret_cast<Function*>(find_module_symbol(module, name));
}

/// Throws UsageError: program and module were not built together.
[[noreturn]] void throw_module_of_another_build(const char* file_name);

}  // namespace nanochat
