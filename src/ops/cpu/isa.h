/// The instruction sets that our kernels are compiled for, and which of them this CPU has.
#pragma once

#include <cstdint>
#include <string_view>

namespace nanochat::cpu {

/// In order of preference, lowest first.
enum class Isa : uint8_t { kPortable, kAvx2, kAvx512Bf16 };

/// "portable", "avx2", "avx512_bf16".
[[nodiscard]] std::string_view name_of(Isa isa) noexcept;

/// True when this build has the kernels and the CPU and the system have the registers.
[[nodiscard]] bool is_supported(Isa isa) noexcept;

/// The best one supported.
[[nodiscard]] Isa detect_isa() noexcept;

/// Throws DeviceError when the name is unknown or the machine lacks it.
[[nodiscard]] Isa parse_isa(std::string_view name);

/// NANOCHAT_CPU_ISA, or what detect_isa() finds when it is unset or empty. Throws as parse_isa.
[[nodiscard]] Isa chosen_isa();

}  // namespace nanochat::cpu
