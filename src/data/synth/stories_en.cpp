#include "data/synth/stories.h"

namespace nanochat::synth {
namespace {

using Lines = std::string_view[];
using Questions = StoryQuestion[];

constexpr Lines kLost = {
    "[One morning|One afternoon|One day|On a sunny day], {a} was playing {c.at} with {a.his} {x}.",
    "{a} put the {x} [on a bench|under a tree|on a big stone|in the grass] and [ran after {n.an}|"
    "went to look at {n.an}|followed {n.an}].",
    "When {a.he} came back, the {x} was gone.",
    "{a} [was very sad|began to cry|felt bad], because {a.he} [loved the {x}|had got the {x} from "
    "{a.his} mother|had no other {x}].",
    "?{a.He} [looked left and right|called for help|sat down on the ground], but [nobody was there|"
    "there was no {x}|it did not help].",
    "{b}, {a.his} best friend, [heard {a.him}|came by|saw {a.him}] and said, \"[Do not cry|Do not "
    "worry|Be calm]. [We will look for it together|Let us look for it|I will help you].\"",
    "They looked [under the bushes|behind the trees|behind a wall] and [in the long grass|near the "
    "water|along the path].",
    "[At last|After a long time|Soon], {b} found the {x} [under some leaves|behind a big stone|in "
    "a hole].",
    "?[The wind|A little dog|A bird] had [carried|taken] it there.",
    "{a} [hugged {b} and said, \"Thank you! You are a good friend.\"|thanked {b} and gave {b.him} "
    "some {f}.|was so happy that {a.he} danced around {b}.]",
    "[From that day on|After that], {a} [always took good care of the {x}|never left the {x} alone "
    "again|kept the {x} close to {a.him}].",
};
constexpr Questions kLostQuestions = {
    {"What did {a} lose?", "{a} lost the {x}."},
    {"Who found the {x}?", "{b} found the {x}."},
    {"Which animal did {a} see before the {x} was gone?", "{a} saw {n.an}."},
};

constexpr Lines kHungry = {
    "[It was a cold day|It was early in the morning|The sun was going down|It had rained all day].",
    "{a} was on the way [home|to school|to {b}'s house] when {a.he} heard a [small|soft|strange] "
    "sound {c.at}.",
    "It was {h.an}. The {h} was [thin and hungry|weak and tired|wet and hungry].",
    "\"[Poor little {h}|Oh, you poor thing|Little friend], [are you hungry|what do you need|where "
    "is your home]?\" {a} asked.",
    "{a} [had only some {f} in {a.his} bag|looked into {a.his} bag and found some {f}], but {h.s} "
    "like to eat {h.eats}.",
    "So {a} went to {p}, the {p.job}, and asked for some {h.eats}.",
    "{p} [smiled|nodded|laughed] and [said, \"Here you are. You have a kind heart.\"|gave {a.him} "
    "a whole bag of it.|said, \"Take as much as you need.\"]",
    "The {h} ate [everything|all of the {h.eats}|until it was full] and [became strong again|felt "
    "much better|fell asleep at {a.his} feet].",
    "?{a} [sat beside it for a while|sang a quiet song for it|told {b} about it].",
    "The next day, the {h} [waited for {a} {c.at}|came to the door of {a}'s house|brought {a} a "
    "pretty flower].",
    "Because {a} had been kind, {a.he} now had [a new friend|one more friend].",
};
constexpr Questions kHungryQuestions = {
    {"Which animal did {a} help?", "{a} helped {h.an}."},
    {"What did the {h} eat?", "The {h} ate {h.eats}."},
    {"Who gave {a} the {h.eats}?", "{p} gave {a} the {h.eats}."},
};

constexpr Lines kRain = {
    "{a} and {b} wanted to play {c.at}.",
    "{m}, {a}'s mother, [looked at the sky and said|said]: \"[There are dark clouds|It may rain "
    "today|The sky is grey]. Take [an umbrella|a coat|a hat] with you, and come home early.\"",
    "But {a} [did not listen|laughed and ran out|forgot the words of {a.his} mother].",
    "The children [played for a long time|ran and jumped|played with {n.an}] and [did not look at "
    "the sky|had a lot of fun].",
    "[Suddenly|Then|All at once] [it began to rain|the rain came down|a storm came], and there was "
    "no place to hide.",
    "?The [water was cold|wind was strong|thunder was loud], and {b} [was afraid|began to shake|"
    "wanted to go home].",
    "They ran home as fast as they could, but they were wet [from head to foot|to the skin].",
    "The next day, {a} had to stay in bed because {a.he} [had a cold|was ill|had a fever].",
    "{m} brought {a.him} [warm tea|some hot soup|some {f}] and [sat by the bed|told {a.him} a "
    "story|was not angry].",
    "\"[I am sorry|Forgive me], mother,\" said {a}. \"Next time I will [listen to you|do as you "
    "say|look at the sky first].\"",
};
constexpr Questions kRainQuestions = {
    {"Why did {a} have to stay in bed?",
     "{a} had to stay in bed because {a.he} got wet in the "
     "rain."},
    {"Where did {a} and {b} want to play?", "They wanted to play {c.at}."},
    {"Who told {a} to come home early?", "{m} told {a} to come home early."},
};

constexpr Lines kShare = {
    "{a} [had|got|was given] a [big|large|full] basket of {f}.",
    "{a.He} [sat down {c.at}|went to {c}|walked to {c}] to eat [everything alone|all that was in "
    "it].",
    "{b} came by and [looked at the basket|said hello|sat down beside {a.him}]. {b} had [nothing "
    "to eat|forgotten {b.his} lunch|lost {b.his} lunch].",
    "At first {a} [held the basket tight|did not want to share|turned away]. \"All "
    "of this is mine,\" {a.he} thought.",
    "But then {a} [saw the sad face of {b}.|remembered how {b} had helped {a.him}.|thought, \"What "
    "if I were hungry?\"]",
    "{a} [moved closer|smiled] and said, \"[Please take some|Let us share|Half of it is for "
    "you].\"",
    "The two friends ate together, and the {f} tasted [twice as good|better than ever].",
    "?Even {n.an} came near, and the children [laughed|gave it a little too|watched it].",
    "The next week, {a} [was hungry|had no lunch], and {b} [gave {a.him} some {b.food}|shared "
    "{b.his} {b.food} with {a.him}].",
    "[So {a} learned that a friend who gets something will give something, too.|{a} understood: "
    "sharing makes everyone happy.|\"It is good to share,\" said {a}.]",
};
constexpr Questions kShareQuestions = {
    {"What was in the basket?", "There was some food in the basket: {f}."},
    {"Who had nothing to eat at first?", "{b} had nothing to eat at first."},
    {"With whom did {a} share?", "{a} shared with {b}."},
};

constexpr Lines kBroken = {
    "[One evening|One rainy day|While {m} was away], {a} was running through the [house|kitchen|"
    "living room].",
    "[\"Be careful!\" said {b}, but {a} did not hear.|{a} was laughing and did not look around.|"
    "The floor was wet.]",
    "{a} bumped into the table, and the {g} of {a.his} mother fell down and broke.",
    "{a} [was frightened|turned pale|did not know what to do].",
    "\"[I could say that the wind did it|Nobody saw it|I could hide it],\" {a.he} thought.",
    "But {a} [could not sleep that night|felt worse and worse|had a stone in {a.his} stomach], "
    "because a lie [is heavy|grows and grows|makes the heart sad].",
    "[At last|In the end], {a} went to {m} and said, \"I broke the {g}. I am sorry.\"",
    "{m} [was quiet for a moment|took {a.him} in her arms|looked at {a.him} kindly] and said, \"[I "
    "can get another {g}, but not another child|I am glad that you told the truth|Thank you for "
    "telling the truth].\"",
    "?Together they [picked up the pieces|cleaned the floor|put the pieces into a box].",
    "{a} felt [light|happy|much better] again, and from then on {a.he} [did not run in the house|"
    "always told the truth].",
};
constexpr Questions kBrokenQuestions = {
    {"What did {a} break?", "{a} broke the {g} of {a.his} mother."},
    {"To whom did {a} tell the truth?", "{a} told the truth to {m}."},
    {"Why could {a} feel happy again?", "{a} felt happy again because {a.he} told the truth."},
};

constexpr Lines kPractice = {
    "{a} wanted to be good at {a.hobby}.",
    "But the first time, [everything went wrong|it was very hard|the others laughed at {a.him}].",
    "\"I will never learn it,\" said {a} and [threw {a.his} {x} into a corner|sat down {c.at}|"
    "began to cry].",
    "{p}, an old friend of the family, [saw it|heard it|came along] and said, \"I am {p.job.an}. "
    "Do you think I could do my work on the first day?\"",
    "\"[No|Hm, no|I do not think so],\" said {a}.",
    "\"[You are right|That is true]. I had to [practise every day|try again and again|learn for "
    "years]. [Small steps lead far|Every day a little, that is the secret].\"",
    "So {a} practised [every morning|after school|every evening], even when [it rained|{a.he} was "
    "tired|the others were playing].",
    "?{b} [came to help|watched and clapped|brought {a.him} some {f}].",
    "After [three weeks|a month|a long winter], {a} [could do it very well|was the best of "
    "all|made "
    "no more mistakes].",
    "\"[How did you do that|How is that possible]?\" asked {b}. {a} [smiled|laughed] and said, "
    "\"[I did not give up|Every day a little|I practised].\"",
};
constexpr Questions kPracticeQuestions = {
    {"What did {a} want to be good at?", "{a} wanted to be good at {a.hobby}."},
    {"Who told {a} to try again and again?", "{p} told {a} to try again and again."},
    {"Why did {a} become good at it?", "{a} became good at it because {a.he} practised."},
};

constexpr Lines kBirthday = {
    "It was the birthday of {b}, and {a} wanted to give {b.him} something [nice|special|pretty].",
    "{a} knew that {b} [loved the colour {b.colour}|liked {b.food}|enjoyed {b.hobby}].",
    "{a.He} went to the shop of {p} and saw {x.an}, but {a.he} did not have enough money.",
    "\"[What can I do|Can I work for it]?\" asked {a}. {p} said, \"[Help me to clean the "
    "shop|Carry "
    "these boxes for me|Sweep the floor], and the {x} is yours.\"",
    "{a} worked [all morning|for two hours|until noon] and did not [complain|stop|rest].",
    "Then {a.he} [wrapped the {x} in {b.colour} paper|painted the {x} {b.colour}|tied a {b.colour} "
    "ribbon around the {x}].",
    "In the evening there was a party with [cake and music|songs and games|{b.food} and cake].",
    "?[Even {n.an} looked in at the window.|The mother of {a}, {m}, had baked the cake.]",
    "{b} opened the present and [cried, \"{x.An}! How beautiful!\"|jumped for joy.|could not stop "
    "smiling.]",
    "\"It is the best present,\" said {b}, \"because you [worked for it|made it for me|thought of "
    "me].\"",
};
constexpr Questions kBirthdayQuestions = {
    {"Whose birthday was it?", "It was the birthday of {b}."},
    {"What did {a} give to {b}?", "{a} gave {x.an} to {b}."},
    {"Which colour did {b} love in the story?", "{b} loved the colour {b.colour}."},
};

constexpr Lines kSeed = {
    "In spring, {p} gave {a} a tiny seed. \"[Put it into the earth|Plant it], [give it water|water "
    "it every day] and wait,\" {p.he} said.",
    "{a} planted the seed {c.at} and [watered it every day|gave it water every morning].",
    "A week went by, and nothing happened. \"[The seed is dead|It does not work|It is only a "
    "stone],\" said {b}.",
    "But {a} [did not give up|went on|only smiled and went on].",
    "?One night [it was very cold|the wind was strong|it rained hard], and {a} covered the place "
    "with [a blanket|a box|a basket|a bucket].",
    "Then, [one morning|on a warm day|after the rain], there was a small green leaf.",
    "The plant grew and grew: first as high as [a cup|a shoe], then as high as [a chair|a table], "
    "and in summer it was higher than {a}.",
    "In autumn it had [big {a.colour} flowers|a hundred {a.colour} flowers], and [bees|birds|"
    "butterflies] came from everywhere.",
    "\"[You were right|I was wrong],\" said {b}. \"How did you know?\"",
    "\"[I did not know|I only hoped],\" said {a}. \"[But good things need time|But who waits and "
    "works will see flowers].\"",
};
constexpr Questions kSeedQuestions = {
    {"Who gave {a} the seed?", "{p} gave {a} the seed."},
    {"What colour were the flowers?", "The flowers were {a.colour}."},
    {"Who did not believe that the seed would grow?", "{b} did not believe it."},
};

constexpr Lines kNight = {
    "It was late at night. [The moon was bright|The moon was behind the clouds|All was dark], and "
    "{a} could not sleep.",
    "[Knock, knock|Scratch, scratch|Tap, tap]! There was a noise [at the window|under the bed|"
    "behind the door].",
    "\"[A ghost|A monster|A thief]!\" thought {a} and pulled the blanket over {a.his} head.",
    "[{a.His} heart beat fast|{a.He} did not move|{a.He} held the pillow close].",
    "But then {a} thought, \"[I am {a.age} years old|{b} would not be afraid|Mother says that fear "
    "is small when you look at it].\"",
    "So {a.he} took {x.an} in one hand and a [lamp|candle] in the other and [went to look|opened "
    "it slowly].",
    "There sat {n.an}. It was [only looking for something to eat|cold and wanted to come in|more "
    "afraid "
    "than {a}].",
    "{a} [laughed|began to laugh] and [gave it some bread.|let it sit in a warm box.|said, \"Good "
    "evening, little one!\"]",
    "?In the morning {a} told {m}, and they [both laughed|made a small bed for the {n}].",
    "After that, {a} was [not afraid of the dark any more|the bravest child in {a.town}].",
};
constexpr Questions kNightQuestions = {
    {"What made the noise?", "It was {n.an}."},
    {"What did {a} take in one hand?", "{a} took {x.an} in one hand."},
    {"Was there really a monster?", "No, it was only {n.an}."},
};

constexpr Lines kRace = {
    "Every year there is a race in {a.town}, from {c} to the old tree.",
    "{b} was the fastest of all the children. \"[I will win again|Nobody can beat me|It is too "
    "easy],\" said {b}.",
    "{a} was slower, but {a.he} [wanted to try|had trained every day|did not give up easily].",
    "[One, two, three, go|Ready, steady, go]! {b} ran like the wind and was soon far ahead.",
    "Halfway, {b} saw {n.an} and thought, \"I have enough time,\" and [stopped to play with it|"
    "sat down to look at it|lay down in the grass].",
    "{a} [ran on without a rest|went on, step by step|did not stop].",
    "When {b} [looked up|woke up|remembered the race], {a} was already [near the tree|at the end].",
    "{b} ran as fast as {b.he} could, but it was too late: {a} had won the race.",
    "?{p}, the {p.job}, gave {a} [{x.an} as a prize|a big basket of {f}].",
    "{b} [gave {a} {b.his} hand|hugged {a}] and said, \"[You won because you did not stop|Next "
    "time I will not stop on the way|You are the best today].\"",
};
constexpr Questions kRaceQuestions = {
    {"Who won the race?", "{a} won the race."},
    {"Why did {b} not win the race?", "{b} did not win because {b.he} stopped on the way."},
    {"Which animal did {b} see?", "{b} saw {n.an}."},
};

constexpr Lines kMarket = {
    "{m} said to {a}, \"Please go to the market and buy some {f}. Here is the money.\"",
    "On the way, {a} [said the word again and again|sang a song|met {b}].",
    "At the market there were so many things: {x.s}, {z.s}, flowers and toys.",
    "{a} looked at {x.an} and [wanted to have it very much|held it in {a.his} hands|forgot the "
    "time].",
    "\"[I could buy it|It costs just as much as I have],\" {a.he} thought. \"But what will [we eat "
    "tonight|mother say]?\"",
    "{a} [put the {x} back|shook {a.his} head] and bought the {f} from {p}.",
    "?{p} [gave {a.him} a bit more.|said, \"What a good child!\"]",
    "At home, {m} cooked, and the whole house smelled [good|wonderful].",
    "{a} told {m} about the {x}. {m} [smiled|nodded] and said, \"You did [the right thing|well].\"",
    "A week later, there was a surprise on {a}'s bed: it was the {x}.",
};
constexpr Questions kMarketQuestions = {
    {"What did {m} ask {a} to buy?", "{m} asked {a} to buy some {f}."},
    {"What was the surprise on the bed?", "The surprise was {x.an}."},
    {"Who sold the food to {a}?", "{p} sold it to {a}."},
};

constexpr Lines kTrap = {
    "One day, {n.an} [fell into a deep hole|was caught in a net|got stuck under a branch] {c.at}.",
    "It [called for help|pulled and pulled|cried], but [nobody came|all the people were far away].",
    "{a} was just [coming home from school|looking for berries|picking flowers] and heard it.",
    "\"[Wait|Keep calm], I will help you,\" said {a}. But alone {a.he} was not strong enough.",
    "{a} ran to {b}, and {b} brought [a rope|a ladder|a net] and [a shovel|a saw|a lamp].",
    "[Together|With all their strength], they [pulled|worked], and at last the {n} was free.",
    "?It [looked at them for a moment|shook its body] and [ran away|was gone].",
    "Some weeks later, {a} lost the way in the dark and [did not know where to go|was afraid].",
    "Then the {n} came, [went ahead|looked back at {a.him}] and showed {a.him} the way home to "
    "{a.town}.",
    "\"Thank you, little {n},\" said {a}. \"[I helped you, and now you have helped me|Nobody is "
    "too "
    "small to help].\"",
};
constexpr Questions kTrapQuestions = {
    {"Which animal needed help?", "{n.An} needed help."},
    {"Who helped {a} to free the {n}?", "{b} helped {a} to free the {n}."},
    {"Who showed {a} the way home?", "The {n} showed {a} the way home."},
};

constexpr Lines kNewChild = {
    "{b} was new at the school in {a.town} and [knew nobody|was very shy|stood alone in the yard].",
    "The other children [were playing|laughed and ran about], and nobody [asked {b} to join|talked "
    "to {b}].",
    "{a} saw it and [remembered how it feels to be alone|felt sorry for {b}|had an idea].",
    "{a.He} took {a.his} {x}, went to {b} and asked, \"[Do you want to play with me|Shall we play "
    "together|What do you like to do]?\"",
    "{b} looked up. \"I like {b.hobby},\" {b.he} said [softly|in a low voice].",
    "\"[How nice|Good]! I like {a.hobby},\" said {a}. \"[You can teach me|Let us do both].\"",
    "?At noon, {a} ate some {a.food}, and {b} ate some {b.food}.",
    "After school they went to {c} and [saw {n.an}|played until evening|talked about everything].",
    "[Soon|After a few days], {b} [laughed a lot|was not shy any more], and all the children liked "
    "{b.him}.",
    "That is how {a} and {b} became best friends.",
};
constexpr Questions kNewChildQuestions = {
    {"Who was new at the school?", "{b} was new at the school."},
    {"What does {b} like in the story?", "{b} likes {b.hobby}."},
    {"Who asked {b} to play?", "{a} asked {b} to play."},
};

constexpr Lines kJob = {
    "{p} is {p.job.an} in {p.town}. [People like {p.him}|{p.He} gets up early every day|{p.He} "
    "goes to work {p.travel}].",
    "{a}, who wants to become {a.dream.an}, asked, \"May I watch you at work for a day?\"",
    "\"[Of course|With pleasure|Yes], but [you must get up early|it is hard work|you must help "
    "me],\" said {p}.",
    "In the morning, {a} carried the {y} and {p} carried the {z}.",
    "[The work was hard|There was a lot to do|People came and went], and soon {a} was tired.",
    "At noon, they sat {c.at}. {p} ate some {p.food}, and {a} ate some {a.food}.",
    "?{n.An} came by, and they [gave it a little|watched it for a while].",
    "In the afternoon, {a} made a mistake: {a.he} [dropped the {y}|forgot the {z}|went the wrong "
    "way]. But {p} was not angry.",
    "\"[Everybody makes mistakes|I made many mistakes, too],\" said {p}. \"[What counts is that "
    "you "
    "go on|You only have to learn from them].\"",
    "In the evening, {a} told {m}, \"Now I know that [work is not easy|every kind of work is "
    "important]. I will study hard.\"",
};
constexpr Questions kJobQuestions = {
    {"What did {a} carry in the morning?", "{a} carried the {y}."},
    {"What did {p} eat at noon?", "{p} ate some {p.food}."},
    {"Was {p} angry about the mistake?", "No, {p} was not angry."},
};

constexpr Story kStories[] = {
    {"lost", kLost, kLostQuestions},
    {"hungry", kHungry, kHungryQuestions},
    {"rain", kRain, kRainQuestions},
    {"share", kShare, kShareQuestions},
    {"broken", kBroken, kBrokenQuestions},
    {"practice", kPractice, kPracticeQuestions},
    {"birthday", kBirthday, kBirthdayQuestions},
    {"seed", kSeed, kSeedQuestions},
    {"night", kNight, kNightQuestions},
    {"race", kRace, kRaceQuestions},
    {"market", kMarket, kMarketQuestions},
    {"trap", kTrap, kTrapQuestions},
    {"new_child", kNewChild, kNewChildQuestions},
    {"job", kJob, kJobQuestions},
};

}  // namespace

std::span<const Story> english_stories() noexcept { return kStories; }

}  // namespace nanochat::synth
