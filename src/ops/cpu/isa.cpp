#include "ops/cpu/isa.h"

#include <cstdlib>

#include "core/error.h"

namespace nanochat::cpu {
namespace {

constexpr Isa kAll[] = {Isa::kAvx512Bf16, Isa::kAvx2, Isa::kPortable};

}  // namespace

std::string_view name_of(Isa isa) noexcept {
  switch (isa) {
    case Isa::kAvx512Bf16:
      return "avx512_bf16";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kPortable:
      break;
  }
  return "portable";
}

bool is_supported(Isa isa) noexcept {
  if (isa == Isa::kPortable) return true;
#ifdef NC_X86_64
  // The compiler's run-time library asks XGETBV too: a feature counts only when the system saves
  // its registers.
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == Isa::kAvx2) return avx2;
  return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

Isa detect_isa() noexcept {
  for (const Isa isa : kAll) {
    if (is_supported(isa)) return isa;
  }
  return Isa::kPortable;
}

Isa parse_isa(std::string_view name) {
  for (const Isa isa : kAll) {
    if (name != name_of(isa)) continue;
    if (is_supported(isa)) return isa;
    throw DeviceError("this CPU has no {}: choose avx2 or portable, or unset NANOCHAT_CPU_ISA",
                      name);
  }
  throw DeviceError("no CPU instruction set is called \"{}\": choose avx512_bf16, avx2 or portable",
                    name);
}

Isa chosen_isa() {
  const char* name = std::getenv("NANOCHAT_CPU_ISA");
  return name && *name ? parse_isa(name) : detect_isa();
}

}  // namespace nanochat::cpu
