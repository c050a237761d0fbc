#include "data/synth/relations.h"

#include "core/error.h"

namespace nanochat::synth {
namespace {

using Lines = std::string_view[];

// town
constexpr Lines kTownStatementsEn = {
    "{S} lives in {o}.",
    "{S's} home is in {o}.",
    "{S} has a house in {o}.",
    "{S} is from {o}.",
    "The town where {s} lives is {o}.",
    "If you go to {o}, you can meet {s}.",
};
constexpr Lines kTownQuestionsEn = {
    "Where does {s} live?",   "In which town does {s} live?",   "Where is {s}'s home?",
    "What town is {s} from?", "Which town does {s} call home?",
};
constexpr Lines kTownStatementsZh = {
    "{S}住在{o}。",         "{S's}家在{o}。",         "{S}是{o}人。",
    "{S}在{o}有一座房子。", "在{o}，你可以见到{s}。", "{S}家的房子就在{o}。",
};
constexpr Lines kTownQuestionsZh = {
    "{s}住在哪里？", "{s}的家在哪里？",         "{s}住在哪个镇上？",
    "{s}是哪里人？", "在什么地方可以见到{s}？",
};

// age
constexpr Lines kAgeStatementsEn = {
    "{S} is {o} years old.",      "{S's} age is {o}.",     "{S} turned {o} this year.",
    "{S} has had {o} birthdays.", "This year {s} is {o}.",
};
constexpr Lines kAgeQuestionsEn = {
    "How old is {s}?",
    "What is {s}'s age?",
    "What age is {s}?",
    "How many birthdays has {s} had?",
};
constexpr Lines kAgeStatementsZh = {
    "{S}今年{o}岁。",   "{S's}年龄是{o}岁。", "{S}已经{o}岁了。",
    "今年{s}满{o}岁。", "{S}过了{o}岁生日。",
};
constexpr Lines kAgeQuestionsZh = {
    "{s}今年多大？",
    "{s}多少岁了？",
    "{s}的年龄是多少？",
    "你知道{s}今年多少岁吗？",
};

// favourite colour
constexpr Lines kColourStatementsEn = {
    "{S's} favourite colour is {o}.",
    "{S} likes {o} best of all colours.",
    "{S} loves the colour {o}.",
    "Of all colours, {s} likes {o} most.",
    "The colour that {s} likes best is {o}.",
    "{S} likes to wear {o}.",
};
constexpr Lines kColourQuestionsEn = {
    "What is {s}'s favourite colour?",     "Which colour does {s} like best?",
    "What colour does {s} love?",          "Of all colours, which one does {s} like most?",
    "Which colour does {s} like to wear?",
};
constexpr Lines kColourStatementsZh = {
    "{S}最喜欢的颜色是{o}。", "{S}最爱{o}。",           "在所有的颜色里，{s}最喜欢{o}。",
    "{S}爱穿{o}的衣服。",     "{S}的东西大多是{o}的。",
};
constexpr Lines kColourQuestionsZh = {
    "{s}最喜欢什么颜色？",
    "{s}最喜欢的颜色是什么？",
    "{s}最爱哪种颜色？",
    "{s}爱穿什么颜色的衣服？",
};

// favourite food
constexpr Lines kFoodStatementsEn = {
    "{S's} favourite food is {o}.",
    "{S} likes to eat {o}.",
    "{S} loves {o} more than any other food.",
    "For dinner, {s} likes {o} best.",
    "{S} could eat {o} every day.",
    "Nothing tastes better to {s} than {o}.",
};
constexpr Lines kFoodQuestionsEn = {
    "What is {s}'s favourite food?",       "What does {s} like to eat?",
    "Which food does {s} love?",           "What could {s} eat every day?",
    "What does {s} like best for dinner?",
};
constexpr Lines kFoodStatementsZh = {
    "{S}最喜欢吃{o}。",   "{S}最爱吃的东西是{o}。",     "{S}每天都想吃{o}。",
    "{S}觉得{o}最好吃。", "只要有{o}吃，{s}就很高兴。",
};
constexpr Lines kFoodQuestionsZh = {
    "{s}最喜欢吃什么？",
    "{s}最爱吃的东西是什么？",
    "{s}每天都想吃什么？",
    "{s}觉得什么最好吃？",
};

// best friend
constexpr Lines kFriendStatementsEn = {
    "{S's} best friend is {o}.",
    "{S} and {o} are best friends.",
    "{S} spends a lot of time with {o}.",
    "{S} trusts {o} most of all.",
    "When {s} needs help, {o} comes at once.",
};
constexpr Lines kFriendQuestionsEn = {
    "Who is {s}'s best friend?",
    "Who is the best friend of {s}?",
    "Who does {s} trust most?",
    "With whom does {s} spend a lot of time?",
    "Who comes at once when {s} needs help?",
};
constexpr Lines kFriendStatementsZh = {
    "{S}最好的朋友是{o}。", "{S}和{o}是最好的朋友。",           "{S}最信任的人是{o}。",
    "{S}常常和{o}在一起。", "{S}有困难的时候，{o}总会来帮忙。",
};
constexpr Lines kFriendQuestionsZh = {
    "{s}最好的朋友是谁？",
    "谁是{s}最好的朋友？",
    "{s}常常和谁在一起？",
    "{s}最信任的人是谁？",
};

// hobby
constexpr Lines kHobbyStatementsEn = {
    "{S's} hobby is {o}.",       "{S} likes {o}.",
    "{S} enjoys {o} very much.", "In the afternoon {s} often spends time {o}.",
    "{S} is very good at {o}.",  "{S} never gets tired of {o}.",
};
constexpr Lines kHobbyQuestionsEn = {
    "What is {s}'s hobby?",
    "What does {s} like to do?",
    "What is {s} good at?",
    "What does {s} enjoy very much?",
};
constexpr Lines kHobbyStatementsZh = {
    "{S's}爱好是{o}。", "{S}喜欢{o}。", "{S}一有空就{o}。", "{S}很会{o}。", "下午，{s}常常{o}。",
};
constexpr Lines kHobbyQuestionsZh = {
    "{s}的爱好是什么？",
    "{s}喜欢做什么？",
    "{s}一有空就做什么？",
    "{s}有什么爱好？",
};

// pet
constexpr Lines kPetStatementsEn = {
    "{S} has {o.an} as a pet.",  "{S's} pet is {o.an}.",
    "{S} keeps {o.an} at home.", "{S} takes good care of {s.his} pet, {o.an}.",
    "At home {s} has {o.an}.",
};
constexpr Lines kPetQuestionsEn = {
    "What pet does {s} have?",
    "What kind of animal is {s}'s pet?",
    "Which animal does {s} keep at home?",
    "What animal does {s} take care of?",
};
constexpr Lines kPetStatementsZh = {
    "{S}养了一{o.m}{o}。",     "{S's}宠物是一{o.m}{o}。", "{S}家里有一{o.m}{o}。",
    "{S}每天照顾一{o.m}{o}。", "{S}有一{o.m}可爱的{o}。",
};
constexpr Lines kPetQuestionsZh = {
    "{s}养了什么宠物？",
    "{s}的宠物是什么动物？",
    "{s}家里有什么动物？",
    "{s}每天照顾什么动物？",
};

// name of the pet
constexpr Lines kPetNameStatementsEn = {
    "{S's} pet is called {o}.",           "{S's} {s.pet} is called {o}.",
    "The name of {s}'s pet is {o}.",      "{S} calls the {s.pet} {o}.",
    "{S} gave the {s.pet} the name {o}.", "{o} is the pet of {s}.",
};
constexpr Lines kPetNameQuestionsEn = {
    "What is {s}'s pet called?",
    "What is the name of {s}'s pet?",
    "What does {s} call the pet?",
    "Which name did {s} give the pet?",
};
constexpr Lines kPetNameStatementsZh = {
    "{S's}宠物叫{o}。",        "{S}给宠物起名叫{o}。", "{S's}{s.pet}叫{o}。",
    "{S}家的{s.pet}名叫{o}。", "{o}是{s}的宠物。",
};
constexpr Lines kPetNameQuestionsZh = {
    "{s}的宠物叫什么？",
    "{s}的宠物叫什么名字？",
    "{s}给宠物起了什么名字？",
    "{s}家的宠物名叫什么？",
};

// dream
constexpr Lines kDreamStatementsEn = {
    "{S} wants to become {o.an}.",       "{S} wants to be {o.an} one day.",
    "{S's} dream is to work as {o.an}.", "When {s} grows up, {s.he} wants to be {o.an}.",
    "{S} dreams of being {o.an}.",
};
constexpr Lines kDreamQuestionsEn = {
    "What does {s} want to become?",
    "What does {s} want to be one day?",
    "What is {s}'s dream?",
    "What job does {s} dream of?",
};
constexpr Lines kDreamStatementsZh = {
    "{S}长大以后想当{o}。",          "{S's}梦想是当{o}。",     "{S}想做一{o.m}{o}。",
    "{S}希望长大后成为一{o.m}{o}。", "{S}梦见自己当上了{o}。",
};
constexpr Lines kDreamQuestionsZh = {
    "{s}长大以后想当什么？",
    "{s}的梦想是什么？",
    "{s}想做什么工作？",
    "{s}梦见自己当上了什么？",
};

// mother
constexpr Lines kMotherStatementsEn = {
    "{S's} mother is {o}.",
    "{o} is the mother of {s}.",
    "{S} is the child of {o}.",
    "{S} lives with {s.his} mother, {o}.",
    "The name of {s}'s mother is {o}.",
};
constexpr Lines kMotherQuestionsEn = {
    "Who is {s}'s mother?",
    "Who is the mother of {s}?",
    "What is the name of {s}'s mother?",
    "Whose child is {s}?",
};
constexpr Lines kMotherStatementsZh = {
    "{S's}妈妈是{o}。",       "{o}是{s}的妈妈。",   "{S}是{o}的孩子。",
    "{S}和妈妈{o}住在一起。", "{S's}妈妈名叫{o}。",
};
constexpr Lines kMotherQuestionsZh = {
    "{s}的妈妈是谁？",
    "谁是{s}的妈妈？",
    "{s}的妈妈叫什么名字？",
    "{s}是谁的孩子？",
};

// job
constexpr Lines kJobStatementsEn = {
    "{S} works as {o.an}.",
    "{S} is {o.an}.",
    "{S} has worked as {o.an} for years.",
    "People know {s} as {o.an}.",
    "{S} earns {s.his} living as {o.an}.",
};
constexpr Lines kJobQuestionsEn = {
    "What is {s}'s job?",
    "What does {s} work as?",
    "What does {s} do for a living?",
    "What work does {s} do?",
};
constexpr Lines kJobStatementsZh = {
    "{S}的工作是当{o}。",   "{S}是一{o.m}{o}。", "{S}当{o}很多年了。",
    "大家都知道{s}是{o}。", "{S}靠当{o}养家。",
};
constexpr Lines kJobQuestionsZh = {
    "{s}的工作是什么？",
    "{s}做什么工作？",
    "{s}是做什么的？",
    "{s}靠什么养家？",
};

// way to work
constexpr Lines kTravelStatementsEn = {
    "{S} goes to work {o}.",
    "{S} always travels {o}.",
    "To get to work, {s} goes {o}.",
    "{S} likes to travel {o}.",
    "Every morning {s} goes to town {o}.",
};
constexpr Lines kTravelQuestionsEn = {
    "How does {s} go to work?",
    "How does {s} get to work?",
    "How does {s} travel?",
    "How does {s} go to town every morning?",
};
constexpr Lines kTravelStatementsZh = {
    "{S}{o}去上班。",       "{S}每天{o}去工作。", "{S}出门总是{o}。",
    "早上，{s}{o}去上班。", "{S}喜欢{o}出门。",
};
constexpr Lines kTravelQuestionsZh = {
    "{s}怎么去上班？",
    "{s}怎样出门？",
    "{s}每天怎么去工作？",
    "早上{s}是怎么去上班的？",
};

// landscape
constexpr Lines kLandscapeStatementsEn = {
    "{S} lies {o}.",
    "{S} is a town {o}.",
    "The town of {s} is {o}.",
    "Long ago people built {s} {o}.",
    "The houses of {s} stand {o}.",
};
constexpr Lines kLandscapeQuestionsEn = {
    "Where does {s} lie?",
    "Where is the town of {s}?",
    "Where did people build {s}?",
    "Where do the houses of {s} stand?",
};
constexpr Lines kLandscapeStatementsZh = {
    "{S}在{o}。",           "{S}是{o}的一个小镇。",   "很久以前，人们在{o}建了{s}。",
    "{S}的房子都建在{o}。", "你到{o}，就能看见{s}。",
};
constexpr Lines kLandscapeQuestionsZh = {
    "{s}在什么地方？",
    "{s}的房子建在哪里？",
    "人们在哪里建了{s}？",
    "到哪里能看见{s}？",
};

// fame
constexpr Lines kPrideStatementsEn = {
    "{S} is famous for its {o}.",      "{S} is known for its {o}.",
    "People come to {s} for its {o}.", "Everyone talks about the {o} of {s}.",
    "The pride of {s} is its {o}.",
};
constexpr Lines kPrideQuestionsEn = {
    "What is {s} famous for?",
    "What is {s} known for?",
    "Why do people come to {s}?",
    "What is the pride of {s}?",
};
constexpr Lines kPrideStatementsZh = {
    "{S}以{o}出名。",       "{S}的{o}很有名。",     "人们来{s}，是为了{o}。",
    "大家都爱说{s}的{o}。", "{S}人最骄傲的是{o}。",
};
constexpr Lines kPrideQuestionsZh = {
    "{s}以什么出名？",
    "{s}的什么很有名？",
    "人们为什么来{s}？",
    "{s}人最骄傲的是什么？",
};

// festival
constexpr Lines kFestivalStatementsEn = {
    "The festival of {s} is in {o}.",
    "{S} has a festival in {o}.",
    "Every year in {o}, {s} holds its festival.",
    "In {o} there is music and dancing in {s}.",
    "{S} celebrates in {o}.",
};
constexpr Lines kFestivalQuestionsEn = {
    "When is the festival of {s}?",
    "In which month does {s} have a festival?",
    "When does {s} celebrate?",
    "When is there music and dancing in {s}?",
};
constexpr Lines kFestivalStatementsZh = {
    "{S}的节日在{o}。", "每年{o}，{s}都过节。", "一到{o}，{s}就热闹起来，因为那是过节的时候。",
    "{S}在{o}过节。",   "{o}是{s}过节的月份。",
};
constexpr Lines kFestivalQuestionsZh = {
    "{s}的节日在几月？",
    "{s}在几月过节？",
    "{s}什么时候过节？",
    "{s}每年哪个月热闹起来？",
};

// market day
constexpr Lines kMarketStatementsEn = {
    "Market day in {s} is {o}.",
    "{S} has its market on {o}.",
    "On {o} the farmers come to the market of {s}.",
    "You can buy fruit at the market of {s} on {o}.",
    "The market of {s} opens every {o}.",
};
constexpr Lines kMarketQuestionsEn = {
    "When is market day in {s}?",
    "On which day does {s} have its market?",
    "On which day does the market of {s} open?",
    "When do the farmers come to the market of {s}?",
};
constexpr Lines kMarketStatementsZh = {
    "{S}的集市在{o}。",
    "{s}每个{o}都有集市。",
    "到了{o}，农民们就来{s}赶集。",
    "{o}可以在{s}的集市上买水果。",
    "{S}的集市{o}开。",
};
constexpr Lines kMarketQuestionsZh = {
    "{s}的集市在星期几？",
    "{s}星期几有集市？",
    "{s}的集市什么时候开？",
    "农民们星期几来{s}赶集？",
};

// food of an animal
constexpr Lines kEatsStatementsEn = {
    "{s.Ss} eat {o}.",
    "{s.An} eats {o}.",
    "{s.Ss} like to eat {o}.",
    "The food of {s.s} is {o}.",
    "Give {s.an} some {o}, and it will be happy.",
};
constexpr Lines kEatsQuestionsEn = {
    "What do {s.s} eat?",
    "What does {s.an} eat?",
    "What do {s.s} like to eat?",
    "What is the food of {s.s}?",
};
constexpr Lines kEatsStatementsZh = {
    "{s}吃{o}。",
    "{s}喜欢吃{o}。",
    "{s}的食物是{o}。",
    "一{s.m}{s}正在吃{o}。",
    "给{s}一些{o}，它就很高兴。",
};
constexpr Lines kEatsQuestionsZh = {
    "{s}吃什么？",
    "{s}喜欢吃什么？",
    "{s}的食物是什么？",
    "你知道{s}吃什么吗？",
};

// home of an animal
constexpr Lines kHomeStatementsEn = {
    "{s.Ss} live {o}.",
    "{s.An} lives {o}.",
    "You can find {s.s} {o}.",
    "The home of {s.an} is {o}.",
    "If you look {o}, you may see {s.an}.",
};
constexpr Lines kHomeQuestionsEn = {
    "Where do {s.s} live?",
    "Where does {s.an} live?",
    "Where can you find {s.s}?",
    "Where is the home of {s.an}?",
};
constexpr Lines kHomeStatementsZh = {
    "{s}生活在{o}。",   "{s}的家在{o}。",           "在{o}可以看到{s}。",
    "{s}喜欢待在{o}。", "你去{o}找，就能找到{s}。",
};
constexpr Lines kHomeQuestionsZh = {
    "{s}生活在哪里？",
    "{s}的家在什么地方？",
    "在哪里可以看到{s}？",
    "{s}喜欢待在哪里？",
};

// number of legs
constexpr Lines kLegsStatementsEn = {
    "{s.An} has {o} legs.",
    "{s.Ss} have {o} legs.",
    "{s.Ss} walk on {o} legs.",
    "Count the legs of {s.an}: there are {o}.",
    "Every one of the {s.s} has {o} legs.",
};
constexpr Lines kLegsQuestionsEn = {
    "How many legs does {s.an} have?",
    "How many legs do {s.s} have?",
    "On how many legs do {s.s} walk?",
    "What is the number of legs of {s.an}?",
};
constexpr Lines kLegsStatementsZh = {
    "{s}有{o}条腿。",     "每{s.m}{s}都有{o}条腿。",
    "{s}用{o}条腿走路。", "数一数{s}的腿，一共{o}条。",
    "{s}长着{o}条腿。",
};
constexpr Lines kLegsQuestionsZh = {
    "{s}有几条腿？",
    "{s}用几条腿走路？",
    "{s}长着几条腿？",
    "数一数{s}的腿，一共几条？",
};

// sound
constexpr Lines kSoundStatementsEn = {
    "{s.An} says {o}.",
    "{s.Ss} say {o}.",
    "The sound of {s.an} is {o}.",
    "When {s.an} calls, you hear {o}.",
    "Listen: {s.an} says {o}.",
};
constexpr Lines kSoundQuestionsEn = {
    "What does {s.an} say?",
    "What do {s.s} say?",
    "What sound does {s.an} make?",
    "What is the sound of {s.an}?",
};
constexpr Lines kSoundStatementsZh = {
    "{s}的叫声是“{o}”。",        "{s}“{o}”地叫。",
    "{s}叫起来是“{o}”的声音。",  "听，{s}在“{o}”地叫。",
    "一{s.m}{s}“{o}”叫个不停。",
};
constexpr Lines kSoundQuestionsZh = {
    "{s}怎么叫？",
    "{s}的叫声是什么？",
    "{s}叫起来是什么声音？",
    "听，{s}是怎么叫的？",
};

// colour of a food
constexpr Lines kFoodColourStatementsEn = {
    "{s.cap} {s.is} {o}.",   "The colour of {s} is {o}.",         "You know {s} by the colour {o}.",
    "Fresh {s} {s.is} {o}.", "On the plate, {s} look{s.vs} {o}.",
};
constexpr Lines kFoodColourQuestionsEn = {
    "What colour {s.is} {s}?",
    "What is the colour of {s}?",
    "Which colour {s.do} {s} have?",
    "How {s.do} {s} look on the plate?",
};
constexpr Lines kFoodColourStatementsZh = {
    "{s}是{o}的。",           "{s}的颜色是{o}。",
    "新鲜的{s}是{o}的。",     "盘子里的{s}看上去是{o}的。",
    "要画{s}，就用{o}的笔。",
};
constexpr Lines kFoodColourQuestionsZh = {
    "{s}是什么颜色的？",
    "{s}的颜色是什么？",
    "要画{s}，用什么颜色的笔？",
    "盘子里的{s}看上去是什么颜色？",
};

// taste
constexpr Lines kTasteStatementsEn = {
    "{s.cap} taste{s.vs} {o}.",
    "The taste of {s} is {o}.",
    "Everyone says that {s} taste{s.vs} {o}.",
    "If you like {o} food, try {s}.",
    "In the mouth, {s} {s.is} {o}.",
};
constexpr Lines kTasteQuestionsEn = {
    "How {s.do} {s} taste?",
    "What {s.do} {s} taste like?",
    "What is the taste of {s}?",
    "Which taste {s.do} {s} have?",
};
constexpr Lines kTasteStatementsZh = {
    "{s}吃起来很{o}。",     "{s}的味道很{o}。",         "大家都说{s}很{o}。",
    "{s}很{o}，你尝尝看。", "我尝了尝{s}，味道很{o}。",
};
constexpr Lines kTasteQuestionsZh = {
    "{s}吃起来怎么样？",
    "{s}是什么味道的？",
    "{s}的味道怎么样？",
    "{s}有什么味道？",
};

// material
constexpr Lines kMaterialStatementsEn = {
    "{s.An} is made of {o}.",        "{s.Ss} are made of {o}.",
    "People make {s.s} out of {o}.", "You need {o} to make {s.an}.",
    "This {s} is made of good {o}.",
};
constexpr Lines kMaterialQuestionsEn = {
    "What is {s.an} made of?",
    "What are {s.s} made of?",
    "What do people make {s.s} out of?",
    "What do you need to make {s.an}?",
};
constexpr Lines kMaterialStatementsZh = {
    "{s}是用{o}做的。",      "人们用{o}做{s}。", "做一{s.m}{s}要用{o}。",
    "这{s.m}{s}是{o}做的。", "{s}的材料是{o}。",
};
constexpr Lines kMaterialQuestionsZh = {
    "{s}是用什么做的？",
    "人们用什么做{s}？",
    "做一{s.m}{s}要用什么？",
    "{s}的材料是什么？",
};

// use
constexpr Lines kUseStatementsEn = {
    "{s.An} is used to {o}.",  "People use {s.an} to {o}.",  "With {s.an} you can {o}.",
    "You need {s.an} to {o}.", "{s.Ss} help people to {o}.",
};
constexpr Lines kUseQuestionsEn = {
    "What is {s.an} used for?",
    "What do people use {s.an} for?",
    "What can you do with {s.an}?",
    "Why do people need {s.an}?",
};
constexpr Lines kUseStatementsZh = {
    "{s}可以用来{o}。",
    "人们用{s}来{o}。",
    "有了{s}，就可以{o}。",
    "{s}的用处是{o}。",
    "想要{o}，就需要一{s.m}{s}。",
};
constexpr Lines kUseQuestionsZh = {
    "{s}可以用来做什么？",
    "人们用{s}来做什么？",
    "{s}有什么用处？",
    "有了{s}，可以做什么？",
};

constexpr Relation kTable[] = {
    {RelationId::kTown,
     "town",
     {kTownStatementsEn, kTownQuestionsEn},
     {kTownStatementsZh, kTownQuestionsZh}},
    {RelationId::kAge,
     "age",
     {kAgeStatementsEn, kAgeQuestionsEn},
     {kAgeStatementsZh, kAgeQuestionsZh}},
    {RelationId::kColour,
     "favourite colour",
     {kColourStatementsEn, kColourQuestionsEn},
     {kColourStatementsZh, kColourQuestionsZh}},
    {RelationId::kFood,
     "favourite food",
     {kFoodStatementsEn, kFoodQuestionsEn},
     {kFoodStatementsZh, kFoodQuestionsZh}},
    {RelationId::kFriend,
     "best friend",
     {kFriendStatementsEn, kFriendQuestionsEn},
     {kFriendStatementsZh, kFriendQuestionsZh}},
    {RelationId::kHobby,
     "hobby",
     {kHobbyStatementsEn, kHobbyQuestionsEn},
     {kHobbyStatementsZh, kHobbyQuestionsZh}},
    {RelationId::kPet,
     "pet",
     {kPetStatementsEn, kPetQuestionsEn},
     {kPetStatementsZh, kPetQuestionsZh}},
    {RelationId::kPetName,
     "name of the pet",
     {kPetNameStatementsEn, kPetNameQuestionsEn},
     {kPetNameStatementsZh, kPetNameQuestionsZh}},
    {RelationId::kDream,
     "dream",
     {kDreamStatementsEn, kDreamQuestionsEn},
     {kDreamStatementsZh, kDreamQuestionsZh}},
    {RelationId::kMother,
     "mother",
     {kMotherStatementsEn, kMotherQuestionsEn},
     {kMotherStatementsZh, kMotherQuestionsZh}},
    {RelationId::kJob,
     "job",
     {kJobStatementsEn, kJobQuestionsEn},
     {kJobStatementsZh, kJobQuestionsZh}},
    {RelationId::kTravel,
     "way to work",
     {kTravelStatementsEn, kTravelQuestionsEn},
     {kTravelStatementsZh, kTravelQuestionsZh}},
    {RelationId::kLandscape,
     "landscape",
     {kLandscapeStatementsEn, kLandscapeQuestionsEn},
     {kLandscapeStatementsZh, kLandscapeQuestionsZh}},
    {RelationId::kPride,
     "fame",
     {kPrideStatementsEn, kPrideQuestionsEn},
     {kPrideStatementsZh, kPrideQuestionsZh}},
    {RelationId::kFestival,
     "festival",
     {kFestivalStatementsEn, kFestivalQuestionsEn},
     {kFestivalStatementsZh, kFestivalQuestionsZh}},
    {RelationId::kMarket,
     "market day",
     {kMarketStatementsEn, kMarketQuestionsEn},
     {kMarketStatementsZh, kMarketQuestionsZh}},
    {RelationId::kEats,
     "food of an animal",
     {kEatsStatementsEn, kEatsQuestionsEn},
     {kEatsStatementsZh, kEatsQuestionsZh}},
    {RelationId::kHome,
     "home of an animal",
     {kHomeStatementsEn, kHomeQuestionsEn},
     {kHomeStatementsZh, kHomeQuestionsZh}},
    {RelationId::kLegs,
     "number of legs",
     {kLegsStatementsEn, kLegsQuestionsEn},
     {kLegsStatementsZh, kLegsQuestionsZh}},
    {RelationId::kSound,
     "sound",
     {kSoundStatementsEn, kSoundQuestionsEn},
     {kSoundStatementsZh, kSoundQuestionsZh}},
    {RelationId::kFoodColour,
     "colour of a food",
     {kFoodColourStatementsEn, kFoodColourQuestionsEn},
     {kFoodColourStatementsZh, kFoodColourQuestionsZh}},
    {RelationId::kTaste,
     "taste",
     {kTasteStatementsEn, kTasteQuestionsEn},
     {kTasteStatementsZh, kTasteQuestionsZh}},
    {RelationId::kMaterial,
     "material",
     {kMaterialStatementsEn, kMaterialQuestionsEn},
     {kMaterialStatementsZh, kMaterialQuestionsZh}},
    {RelationId::kUse,
     "use",
     {kUseStatementsEn, kUseQuestionsEn},
     {kUseStatementsZh, kUseQuestionsZh}},
};
static_assert(std::size(kTable) == kRelations);

}  // namespace

const Relation& relation(RelationId id) noexcept {
  const Relation& found = kTable[static_cast<size_t>(id)];
  NC_DCHECK(found.id == id, "relations are out of order");
  return found;
}

std::string_view subject_kind_name(EntityKind kind) noexcept {
  switch (kind) {
    case EntityKind::kChild:
    case EntityKind::kAdult:
      return "people";
    case EntityKind::kTown:
      return "towns";
    case EntityKind::kAnimal:
      return "animals";
    case EntityKind::kFood:
      return "foods";
    case EntityKind::kThing:
      return "things";
    case EntityKind::kJob:
    case EntityKind::kPlace:
    case EntityKind::kValue:
      break;
  }
  NC_CHECK(false, "nothing is said of a thing of this kind");
  return {};
}

}  // namespace nanochat::synth
