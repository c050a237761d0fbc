// The texts of tok_eval, written for this program. Changing one changes every figure ever measured
// with it, so add new ones instead.
#include "tokenizer/tok_eval.h"

namespace nanochat {
namespace {

constexpr std::string_view kNews = R"TEXT(
HARBOUR CITY (Tuesday) - The ferry that has linked the two halves of this town for 94 years will make its last crossing on Sunday, after the council voted 11-4 to replace it with a pedestrian bridge.

"Nobody likes to be the one who turns off the lights," said Council President Marta Ellingsen, who cast the deciding vote shortly before midnight. "But we spent $2.3 million last year to carry 180,000 passengers. That's almost thirteen dollars a ride, and the engine is older than I am."

The bridge, a 240-metre span designed by a firm in Rotterdam, is expected to open in the spring of 2028. Until then, a shuttle bus will run every 20 minutes between the Fish Market and the old customs house, a detour of roughly six miles.

Residents on the eastern shore say they were given little warning. Oyelaran Bassey, 61, who has sold coffee on the upper deck since 1998, learned about the vote from a customer. "She showed me her phone and said, 'I'm so sorry.' I thought somebody had died," he said. The city has offered him a kiosk at the bridge's western end; he hasn't decided whether to take it.

Not everyone is mourning. Cyclists, who aren't allowed to board during rush hour, have campaigned for a fixed crossing since at least 2011. And the harbour pilots' association noted in a letter that the ferry caused 14 near-misses with cargo ships in the past three years, up from 5 in the three years before.

Shares of the operator, Northern Sound Lines, fell 3.8% on Monday. The company said it would "evaluate all options" for the 71-year-old vessel, including a sale to a museum. About 40 crew members will be offered other jobs; a union spokeswoman, however, said that talks "haven't even started."
)TEXT";

constexpr std::string_view kChinese = R"TEXT(
清晨六点，老城的巷子里已经飘起了豆浆的香味。陈师傅推开木门，把昨夜泡好的黄豆一勺一勺舀进石磨。他今年七十三岁，在这条街上磨了整整五十年的豆腐。

“机器当然快，”他一边转动磨盘，一边笑着说，“可是快有快的味道，慢有慢的味道。你尝一口就知道了。”

二〇二四年，附近新修了地铁站，来往的行人多了三倍。年轻人喜欢拍照，常常在店门口排起长队；也有人从三十公里以外赶来，只为买两块钱一块的老豆腐。陈师傅不会用智能手机，收钱、记账、回复留言，全靠在上海读大学的孙女帮忙。她给小店写了一段介绍，不到一个星期，就有八万多人看过。

不过，热闹也带来了烦恼。房租从每月1800元涨到了4500元，黄豆的价格也比去年高了12%。有人劝他搬进商场，有人建议他开连锁店，他都摇了摇头。“我一天只能做一百二十斤，再多，就不是我做的了。”

去年冬天，社区办起了一所“手艺学堂”，请来木匠、裁缝、篾匠，还有陈师傅。每到周末，十几个孩子围着石磨，看豆子怎样变成豆浆，豆浆怎样点成豆花，豆花又怎样压成豆腐。有个七岁的女孩问：“爷爷，为什么要加石膏呢？”陈师傅想了想，回答说：“豆浆里的蛋白质本来各走各的路，石膏一来，它们就手拉着手，站在一起了。”

傍晚时分，夕阳照在青石板上，最后一板豆腐也卖完了。陈师傅洗净磨盘，盖上白布，轻轻带上了门。明天清晨六点，香味还会准时飘起来。
)TEXT";

constexpr std::string_view kKorean = R"TEXT(
우리 동네 도서관은 언덕 꼭대기에 있다. 버스에서 내려 계단 예순두 개를 올라가야 하지만, 숨이 찰 때쯤 뒤를 돌아보면 강과 다리와 낮은 지붕들이 한눈에 들어온다. 그래서 사람들은 이곳을 ‘바람 도서관’이라고 부른다.

도서관은 1987년에 문을 열었다. 처음에는 책이 3,200권밖에 없었고, 난로 하나로 겨울을 났다고 한다. 지금은 장서가 11만 권을 넘고, 주말이면 하루 평균 900명이 찾아온다. 어린이 열람실에서는 매주 토요일 오후 두 시에 할머니들이 옛이야기를 들려주는데, 아이들보다 부모들이 더 열심히 듣는다는 소문도 있다.

관장 이서연 씨는 “조용히 하라는 말을 없앤 것이 가장 큰 변화였다”고 말했다. 2019년부터 1층에서는 누구나 이야기를 나누고, 악기를 연주하고, 빵을 나누어 먹을 수 있다. 그 대신 3층은 발소리도 내지 않는 곳으로 남겨 두었다. 처음에는 걱정하는 목소리가 많았지만, 대출 권수는 오히려 27% 늘었다.

올해 도서관은 새로운 일을 시작했다. 이웃들의 삶을 기록해 작은 책으로 만드는 일이다. 시장에서 40년 동안 생선을 판 부부, 밤마다 거리를 청소하는 청년, 베트남에서 온 간호사가 첫 번째 주인공이 되었다. 완성된 책은 다른 책들과 똑같이 분류 번호를 달고 책장에 꽂힌다. “모든 사람은 적어도 한 권의 책입니다. 우리는 아직 읽지 못했을 뿐이지요.” 이 관장의 말이다.
)TEXT";

constexpr std::string_view kCode = R"TEXT(
"""A bounded cache that forgets the least recently used entry first."""
from collections import OrderedDict
from dataclasses import dataclass, field
import threading
import time


@dataclass
class CacheStats:
    hits: int = 0
    misses: int = 0
    evictions: int = 0

    @property
    def hit_rate(self) -> float:
        total = self.hits + self.misses
        return self.hits / total if total else 0.0


class LruCache:
    def __init__(self, capacity, ttl_seconds=None, clock=time.monotonic):
        if capacity <= 0:
            raise ValueError(f"capacity must be positive, got {capacity!r}")
        self._capacity = capacity
        self._ttl = ttl_seconds
        self._clock = clock
        self._entries = OrderedDict()  # key -> (value, time of writing)
        self._lock = threading.Lock()
        self.stats = CacheStats()

    def get(self, key, default=None):
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or self._is_stale(entry[1]):
                self._entries.pop(key, None)
                self.stats.misses += 1
                return default
            self._entries.move_to_end(key)
            self.stats.hits += 1
            return entry[0]

    def put(self, key, value):
        with self._lock:
            self._entries[key] = (value, self._clock())
            self._entries.move_to_end(key)
            while len(self._entries) > self._capacity:
                self._entries.popitem(last=False)
                self.stats.evictions += 1

    def _is_stale(self, written_at):
        return self._ttl is not None and self._clock() - written_at >= self._ttl

    def __len__(self):
        return len(self._entries)


if __name__ == "__main__":
    cache = LruCache(capacity=128, ttl_seconds=0.5)
    for i in range(1_000):
        if cache.get(i % 150) is None:
            cache.put(i % 150, [x ** 2 for x in range(i % 7)])
    print(f"{len(cache)} entries, hit rate {100 * cache.stats.hit_rate:.1f}%")
    assert cache.stats.evictions > 0 and len(cache) <= 128
)TEXT";

constexpr std::string_view kMath = R"TEXT(
\documentclass[11pt]{article}
\usepackage{amsmath,amsthm,amssymb}
\newtheorem{lemma}{Lemma}
\newtheorem{theorem}[lemma]{Theorem}
\newcommand{\N}{\mathbb{N}}
\begin{document}

\section*{The harmonic numbers are almost never integers}

For $n \in \N$ let $H_n = \sum_{k=1}^{n} \frac{1}{k}$ be the $n$-th harmonic number. It is well known that $H_n \to \infty$; more precisely,
\[
  H_n = \ln n + \gamma + \frac{1}{2n} - \frac{1}{12n^2} + O\!\left(n^{-4}\right), \qquad \gamma \approx 0.5772156649.
\]

\begin{lemma}\label{lem:power}
Let $2^a$ be the largest power of two with $2^a \le n$. Then $2^a$ is the only integer in $\{1, 2, \dots, n\}$ that is divisible by $2^a$.
\end{lemma}
\begin{proof}
The next multiple is $2 \cdot 2^a = 2^{a+1}$, and $2^{a+1} > n$ by the choice of $a$.
\end{proof}

\begin{theorem}
For every $n \ge 2$ the number $H_n$ is not an integer.
\end{theorem}
\begin{proof}
Let $L = \operatorname{lcm}(1, 2, \dots, n)$, so that $L = 2^a m$ with $m$ odd. Multiplying by $L$ we obtain
\begin{align*}
  L \, H_n &= \sum_{k=1}^{n} \frac{L}{k}
            = \frac{L}{2^a} + \sum_{\substack{1 \le k \le n \\ k \ne 2^a}} \frac{L}{k}.
\end{align*}
By Lemma~\ref{lem:power}, every term $L/k$ with $k \ne 2^a$ is even, since $k$ contains fewer than $a$ factors of two, while $L/2^a = m$ is odd. Hence $L H_n$ is odd. But $n \ge 2$ implies $a \ge 1$, so $L$ is even; if $H_n$ were an integer, $L H_n$ would be even, a contradiction.
\end{proof}

\noindent\textbf{Exercise.} Show that $H_n - H_m \notin \N$ whenever $1 \le m < n$, and compute $\lim_{n\to\infty} (H_{2n} - H_n) = \ln 2$.

\end{document}
)TEXT";

constexpr std::string_view kScience = R"TEXT(
Lightning is an electrostatic discharge that equalises, for a moment, charge separated inside a cumulonimbus cloud: graupel pellets of a few mm falling through a mist of supercooled droplets (−10 °C to −25 °C) collide with rising ice crystals and carry off electrons, so that the lower layers, at about 6 km, become negative and the top, near 12 km, positive. When the field exceeds roughly 3 × 10⁵ V·m⁻¹, an order of magnitude below the breakdown strength of dry air (E₀ ≈ 3 MV/m), a stepped leader descends in jumps of ∼50 m, each lasting 1 µs with pauses of 20–50 µs; once it meets an upward streamer, the return stroke drives a peak current of I ≈ 30 kA through a channel only 2–3 cm wide, heating the plasma to T ≈ 3.0 × 10⁴ K, about five times the temperature of the Sun’s photosphere. The energy released, W = ½QU with Q ≈ 5 C and U ≈ 10⁸ V, is of the order of 10⁸–10⁹ J, most of it spent on ionisation (N₂ → N₂⁺ + e⁻), dissociation (O₂ → 2 O·), radiation from radio waves (λ > 10 km) to γ-rays, and the shock front we hear as thunder: since sound travels at c = 331.3 √(1 + θ/273.15) m/s, a delay of Δt = 9 s means the strike was ≈ 3.1 km away at θ = 20 °C. The hot channel also fixes nitrogen by the Zel’dovich mechanism, N₂ + O ⇌ NO + N and N + O₂ ⇌ NO + O, yielding 2NO + O₂ → 2NO₂ and finally HNO₃; worldwide some 44 ± 5 flashes per second supply 5 ± 3 Tg of nitrogen per year, and bacteria in the soil reduce part of the resulting NO₃⁻ to NH₄⁺, from which α-amino acids and, ultimately, proteins and DNA are built.
)TEXT";

/// Without the line breaks that the raw strings begin and end with.
std::string stripped(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  const size_t end = text.find_last_not_of(" \t\r\n");
  return std::string(text.substr(begin, end + 1 - begin));
}

}  // namespace

std::vector<EvalText> built_in_eval_texts() {
  return {{"news", stripped(kNews)},     {"chinese", stripped(kChinese)},
          {"korean", stripped(kKorean)}, {"code", stripped(kCode)},
          {"math", stripped(kMath)},     {"science", stripped(kScience)}};
}

}  // namespace nanochat
