#include "data/synth/words.h"

namespace nanochat::synth {
namespace {

using enum Meeting;
using enum ThingSort;

// What many rows share.
constexpr NameRow kFarm{"on a farm", "农场里"};
constexpr NameRow kForest{"in the forest", "森林里"};
constexpr NameRow kSea{"in the sea", "大海里"};
constexpr NameRow kPond{"in a pond", "池塘里"};
constexpr NameRow kHouse{"in a house", "人的家里"};
constexpr NameRow kGrassland{"on the grassland", "草原上"};
constexpr NameRow kTrees{"in the trees", "树上"};
constexpr NameRow kMountains{"in the mountains", "高山上"};
constexpr NameRow kGrass{"grass", "青草"};
constexpr NameRow kFish{"fish", "鱼"};
constexpr NameRow kMeat{"meat", "肉"};
constexpr NameRow kInsects{"insects", "虫子"};
constexpr NameRow kSeeds{"seeds", "种子"};
constexpr NameRow kLeaves{"leaves", "树叶"};
constexpr NameRow kGrain{"grain", "谷子"};
constexpr NameRow kMice{"mice", "老鼠"};
constexpr NameRow kNectar{"nectar", "花蜜"};
constexpr NameRow kSilent{};
constexpr bool kPet = true;

// clang-format off
constexpr AnimalRow kAnimals[] = {
    {{"cat", "a cat", "cats", "小猫", "只"}, kFish, kHouse, {"meow", "喵喵"}, 4, kPet, kFed},
    {{"dog", "a dog", "dogs", "小狗", "只"},
     {"bones", "骨头"}, kHouse, {"woof", "汪汪"}, 4, kPet, kFed},
    {{"cow", "a cow", "cows", "奶牛", "头"}, kGrass, kFarm, {"moo", "哞哞"}, 4, false, kFar},
    {{"sheep", "a sheep", "sheep", "绵羊", "只"}, kGrass, kFarm, {"baa", "咩咩"}, 4, false, kFar},
    {{"goat", "a goat", "goats", "山羊", "只"}, kLeaves, kFarm, kSilent, 4, kPet, kFed},
    {{"horse", "a horse", "horses", "小马", "匹"}, {"hay", "干草"}, kFarm, kSilent, 4, kPet, kFar},
    {{"pig", "a pig", "pigs", "小猪", "头"},
     {"corn", "玉米"}, kFarm, {"oink", "哼哼"}, 4, false, kFar},
    {{"duck", "a duck", "ducks", "鸭子", "只"}, kInsects, kPond, {"quack", "嘎嘎"}, 2, kPet, kMet},
    {{"hen", "a hen", "hens", "母鸡", "只"}, kGrain, kFarm, {"cluck", "咯咯"}, 2, kPet, kFar},
    {{"goose", "a goose", "geese", "大鹅", "只"}, kGrass, kPond, kSilent, 2, false, kFar},
    {{"rabbit", "a rabbit", "rabbits", "兔子", "只"},
     {"carrots", "胡萝卜"}, {"in a burrow", "地洞里"}, kSilent, 4, kPet, kFed},
    {{"mouse", "a mouse", "mice", "老鼠", "只"},
     {"rice", "大米"}, {"in a small hole", "小洞里"}, {"squeak", "吱吱"}, 4, kPet, kFed},
    {{"hamster", "a hamster", "hamsters", "仓鼠", "只"},
     kSeeds, {"in a cage", "笼子里"}, kSilent, 4, kPet, kFar},
    {{"squirrel", "a squirrel", "squirrels", "松鼠", "只"},
     {"nuts", "松果"}, kTrees, kSilent, 4, false, kFed},
    {{"hedgehog", "a hedgehog", "hedgehogs", "刺猬", "只"},
     kInsects, {"under old leaves", "落叶下面"}, kSilent, 4, kPet, kMet},
    {{"fox", "a fox", "foxes", "狐狸", "只"}, kMice, kForest, kSilent, 4, false, kMet},
    {{"wolf", "a wolf", "wolves", "灰狼", "只"}, kMeat, kForest, {"awoo", "嗷嗷"}, 4, false, kFar},
    {{"bear", "a bear", "bears", "棕熊", "头"},
     {"honey", "蜂蜜"}, kForest, kSilent, 4, false, kFar},
    {{"lion", "a lion", "lions", "狮子", "头"}, kMeat, kGrassland, kSilent, 4, false, kFar},
    {{"tiger", "a tiger", "tigers", "老虎", "只"}, kMeat, kForest, kSilent, 4, false, kFar},
    {{"elephant", "an elephant", "elephants", "大象", "头"},
     {"fruit", "水果"}, kGrassland, kSilent, 4, false, kFar},
    {{"giraffe", "a giraffe", "giraffes", "长颈鹿", "只"},
     kLeaves, kGrassland, kSilent, 4, false, kFar},
    {{"monkey", "a monkey", "monkeys", "猴子", "只"},
     {"bananas", "香蕉"}, kTrees, kSilent, 0, false, kFed},
    {{"panda", "a panda", "pandas", "大熊猫", "只"},
     {"bamboo", "竹子"}, {"in the bamboo forest", "竹林里"}, kSilent, 4, false, kFar},
    {{"camel", "a camel", "camels", "骆驼", "头"},
     {"dry grass", "枯草"}, {"in the desert", "沙漠里"}, kSilent, 4, false, kFar},
    {{"penguin", "a penguin", "penguins", "企鹅", "只"},
     kFish, {"on the ice", "冰雪上"}, kSilent, 2, false, kFar},
    {{"seal", "a seal", "seals", "海豹", "只"},
     kFish, {"in the cold sea", "寒冷的海里"}, kSilent, 0, false, kFar},
    {{"whale", "a whale", "whales", "鲸鱼", "头"},
     {"tiny shrimps", "小虾"}, kSea, kSilent, 0, false, kFar},
    {{"dolphin", "a dolphin", "dolphins", "海豚", "只"}, kFish, kSea, kSilent, 0, false, kFar},
    {{"octopus", "an octopus", "octopuses", "章鱼", "只"},
     {"crabs", "螃蟹"}, kSea, kSilent, 0, false, kFar},
    {{"crab", "a crab", "crabs", "螃蟹", "只"},
     {"seaweed", "海草"}, {"on the beach", "海滩上"}, kSilent, 0, false, kFar},
    {{"frog", "a frog", "frogs", "青蛙", "只"}, kInsects, kPond, {"croak", "呱呱"}, 4, kPet, kMet},
    {{"turtle", "a turtle", "turtles", "乌龟", "只"},
     {"water plants", "水草"}, kPond, kSilent, 4, kPet, kMet},
    {{"snake", "a snake", "snakes", "花蛇", "条"},
     {"eggs", "鸟蛋"}, {"in the long grass", "草丛里"}, {"hiss", "嘶嘶"}, 0, false, kFar},
    {{"goldfish", "a goldfish", "goldfish", "金鱼", "条"},
     {"fish food", "鱼食"}, {"in a bowl of water", "鱼缸里"}, kSilent, 0, kPet, kFar},
    {{"owl", "an owl", "owls", "猫头鹰", "只"}, kMice, kTrees, {"hoot", "咕咕"}, 2, false, kFar},
    {{"eagle", "an eagle", "eagles", "老鹰", "只"}, kMeat, kMountains, kSilent, 2, false, kFar},
    {{"parrot", "a parrot", "parrots", "鹦鹉", "只"},
     {"fruit", "水果"}, {"in a cage", "笼子里"}, kSilent, 2, kPet, kFar},
    {{"sparrow", "a sparrow", "sparrows", "麻雀", "只"},
     kGrain, {"under the roof", "屋檐下"}, {"chirp", "叽叽"}, 2, false, kFed},
    {{"bee", "a bee", "bees", "蜜蜂", "只"},
     kNectar, {"in a hive", "蜂巢里"}, {"buzz", "嗡嗡"}, 6, false, kFar},
    {{"butterfly", "a butterfly", "butterflies", "蝴蝶", "只"},
     kNectar, {"among the flowers", "花丛里"}, kSilent, 6, false, kFar},
    {{"ant", "an ant", "ants", "蚂蚁", "只"},
     {"crumbs", "面包屑"}, {"under the ground", "地下"}, kSilent, 6, false, kFar},
    {{"spider", "a spider", "spiders", "蜘蛛", "只"},
     {"flies", "苍蝇"}, {"in a web", "蛛网上"}, kSilent, 8, false, kFar},
};
// clang-format on

constexpr NameRow kRed{"red", "红色"}, kYellow{"yellow", "黄色"}, kGreen{"green", "绿色"},
    kWhite{"white", "白色"}, kBrown{"brown", "棕色"}, kOrange{"orange", "橙色"},
    kPurple{"purple", "紫色"}, kBlue{"blue", "蓝色"}, kPink{"pink", "粉色"};
constexpr NameRow kSweet{"sweet", "甜"}, kSour{"sour", "酸"}, kSalty{"salty", "咸"},
    kBitter{"bitter", "苦"}, kSpicy{"spicy", "辣"}, kMild{"mild", "清淡"};
constexpr bool kPlural = true, kMass = false;
constexpr bool kSnack = true, kMeal = false;

constexpr FoodRow kFoods[] = {
    {"apples", "苹果", kPlural, kRed, kSweet, kSnack},
    {"pears", "梨子", kPlural, kYellow, kSweet, kSnack},
    {"bananas", "香蕉", kPlural, kYellow, kSweet, kSnack},
    {"lemons", "柠檬", kPlural, kYellow, kSour, kSnack},
    {"oranges", "橙子", kPlural, kOrange, kSweet, kSnack},
    {"strawberries", "草莓", kPlural, kRed, kSweet, kSnack},
    {"cherries", "樱桃", kPlural, kRed, kSweet, kSnack},
    {"grapes", "葡萄", kPlural, kPurple, kSweet, kSnack},
    {"plums", "李子", kPlural, kPurple, kSour, kSnack},
    {"peaches", "桃子", kPlural, kPink, kSweet, kSnack},
    {"carrots", "胡萝卜", kPlural, kOrange, kSweet, kSnack},
    {"tomatoes", "西红柿", kPlural, kRed, kSour, kSnack},
    {"cucumbers", "黄瓜", kPlural, kGreen, kMild, kSnack},
    {"spinach", "菠菜", kMass, kGreen, kMild, kMeal},
    {"bread", "面包", kMass, kBrown, kMild, kSnack},
    {"rice", "米饭", kMass, kWhite, kMild, kMeal},
    {"noodles", "面条", kPlural, kWhite, kSalty, kMeal},
    {"tomato soup", "番茄汤", kMass, kRed, kSour, kMeal},
    {"pumpkin soup", "南瓜汤", kMass, kOrange, kSweet, kMeal},
    {"cheese", "奶酪", kMass, kYellow, kSalty, kMeal},
    {"honey", "蜂蜜", kMass, kYellow, kSweet, kMeal},
    {"chocolate", "巧克力", kMass, kBrown, kSweet, kMeal},
    {"ice cream", "冰淇淋", kMass, kWhite, kSweet, kMeal},
    {"biscuits", "饼干", kPlural, kBrown, kSweet, kSnack},
    {"dumplings", "饺子", kPlural, kWhite, kSalty, kMeal},
    {"tofu", "豆腐", kMass, kWhite, kMild, kMeal},
    {"hot peppers", "辣椒", kPlural, kRed, kSpicy, kMeal},
    {"ginger", "生姜", kMass, kYellow, kSpicy, kMeal},
    {"onions", "洋葱", kPlural, kPurple, kSpicy, kMeal},
    {"fried fish", "炸鱼", kMass, kBrown, kSalty, kMeal},
    {"ham", "火腿", kMass, kPink, kSalty, kMeal},
    {"potatoes", "土豆", kPlural, kYellow, kMild, kMeal},
    {"corn", "玉米", kMass, kYellow, kSweet, kSnack},
    {"blueberries", "蓝莓", kPlural, kBlue, kSweet, kSnack},
    {"yoghurt", "酸奶", kMass, kWhite, kSour, kMeal},
    {"kiwis", "猕猴桃", kPlural, kGreen, kSour, kSnack},
    {"mangoes", "芒果", kPlural, kYellow, kSweet, kSnack},
    {"peas", "豌豆", kPlural, kGreen, kSweet, kSnack},
    {"mushrooms", "蘑菇", kPlural, kBrown, kMild, kSnack},
    {"porridge", "米粥", kMass, kWhite, kMild, kMeal},
    {"olives", "橄榄", kPlural, kGreen, kBitter, kSnack},
    {"peanuts", "花生", kPlural, kBrown, kSalty, kSnack},
    {"bitter melon", "苦瓜", kMass, kGreen, kBitter, kMeal},
    {"sausages", "香肠", kPlural, kRed, kSalty, kSnack},
};

constexpr NameRow kIron{"iron", "铁"}, kWood{"wood", "木头"}, kClay{"clay", "陶土"},
    kGlass{"glass", "玻璃"}, kPaper{"paper", "纸"}, kCloth{"cloth", "布"}, kWool{"wool", "羊毛"},
    kStraw{"straw", "稻草"}, kCopper{"copper", "铜"}, kLeather{"leather", "皮革"},
    kBamboo{"bamboo", "竹子"};

// clang-format off
constexpr ThingRow kThings[] = {
    {{"knife", "a knife", "knives", "小刀", "把"}, kIron, {"cut bread", "切面包"}, kTool},
    {{"spoon", "a spoon", "spoons", "勺子", "把"}, kWood, {"eat soup", "喝汤"}, kTool},
    {{"cup", "a cup", "cups", "杯子", "个"}, kClay, {"drink tea", "喝茶"}, kFragile},
    {{"bowl", "a bowl", "bowls", "饭碗", "个"}, kClay, {"eat rice", "吃饭"}, kFragile},
    {{"bottle", "a bottle", "bottles", "瓶子", "个"}, kGlass, {"keep milk", "装牛奶"}, kFragile},
    {{"lamp", "a lamp", "lamps", "台灯", "盏"}, kGlass, {"read at night", "在晚上看书"}, kFragile},
    {{"basket", "a basket", "baskets", "篮子", "个"}, kBamboo, {"carry fruit", "装水果"}, kToy},
    {{"box", "a box", "boxes", "盒子", "个"}, kPaper, {"keep toys", "放玩具"}, kToy},
    {{"key", "a key", "keys", "钥匙", "把"}, kIron, {"open a door", "开门"}, kTool},
    {{"rope", "a rope", "ropes", "绳子", "根"}, kStraw, {"tie up a boat", "拴船"}, kTool},
    {{"ladder", "a ladder", "ladders", "梯子", "架"},
     kWood, {"climb onto a roof", "爬上屋顶"}, kTool},
    {{"hammer", "a hammer", "hammers", "锤子", "把"}, kIron, {"hit nails", "钉钉子"}, kTool},
    {{"saw", "a saw", "saws", "锯子", "把"}, kIron, {"cut wood", "锯木头"}, kTool},
    {{"needle", "a needle", "needles", "缝衣针", "根"}, kIron, {"sew clothes", "缝衣服"}, kTool},
    {{"hat", "a hat", "hats", "帽子", "顶"}, kStraw, {"keep off the sun", "遮太阳"}, kToy},
    {{"scarf", "a scarf", "scarves", "围巾", "条"},
     kWool, {"keep the neck warm", "给脖子保暖"}, kToy},
    {{"blanket", "a blanket", "blankets", "毯子", "条"},
     kWool, {"stay warm in bed", "盖着睡觉"}, kTool},
    {{"umbrella", "an umbrella", "umbrellas", "雨伞", "把"},
     kCloth, {"stay dry in the rain", "挡雨"}, kToy},
    {{"kite", "a kite", "kites", "风筝", "个"}, kPaper, {"play in the wind", "在风里玩"}, kToy},
    {{"ball", "a ball", "balls", "皮球", "个"}, kLeather, {"play games", "做游戏"}, kToy},
    {{"doll", "a doll", "dolls", "布娃娃", "个"}, kCloth, {"play house", "过家家"}, kToy},
    {{"drum", "a drum", "drums", "小鼓", "面"}, kLeather, {"beat time", "打拍子"}, kToy},
    {{"flute", "a flute", "flutes", "笛子", "支"}, kBamboo, {"play a song", "吹曲子"}, kToy},
    {{"bell", "a bell", "bells", "铃铛", "个"}, kCopper, {"call people", "叫人"}, kToy},
    {{"mirror", "a mirror", "mirrors", "镜子", "面"}, kGlass, {"look at your face", "照脸"}, kToy},
    {{"book", "a book", "books", "故事书", "本"}, kPaper, {"learn new things", "学新知识"}, kToy},
    {{"pencil", "a pencil", "pencils", "铅笔", "支"}, kWood, {"draw pictures", "画图画"}, kToy},
    {{"comb", "a comb", "combs", "梳子", "把"}, kWood, {"tidy your hair", "梳头发"}, kTool},
    {{"broom", "a broom", "brooms", "扫帚", "把"}, kStraw, {"sweep the floor", "扫地"}, kTool},
    {{"bucket", "a bucket", "buckets", "水桶", "个"}, kIron, {"carry water", "提水"}, kTool},
    {{"net", "a net", "nets", "渔网", "张"}, kStraw, {"catch fish", "捕鱼"}, kTool},
    {{"axe", "an axe", "axes", "斧子", "把"}, kIron, {"cut down trees", "砍树"}, kTool},
    {{"shovel", "a shovel", "shovels", "铲子", "把"}, kIron, {"dig holes", "挖坑"}, kTool},
    {{"pillow", "a pillow", "pillows", "枕头", "个"},
     kCloth, {"rest your head", "枕着休息"}, kTool},
    {{"towel", "a towel", "towels", "毛巾", "条"}, kCloth, {"dry your hands", "擦手"}, kTool},
    {{"clock", "a clock", "clocks", "闹钟", "个"}, kCopper, {"tell the time", "看时间"}, kFragile},
    {{"map", "a map", "maps", "地图", "张"}, kPaper, {"find the way", "找路"}, kToy},
    {{"chair", "a chair", "chairs", "椅子", "把"}, kWood, {"sit down", "坐下"}, kTool},
    {{"tent", "a tent", "tents", "帐篷", "顶"}, kCloth, {"sleep outside", "在野外过夜"}, kTool},
    {{"sled", "a sled", "sleds", "雪橇", "架"},
     kWood, {"slide over the snow", "在雪上滑行"}, kTool},
    {{"vase", "a vase", "vases", "花瓶", "个"}, kClay, {"hold flowers", "插花"}, kFragile},
    {{"coat", "a coat", "coats", "外套", "件"}, kWool, {"keep out the wind", "挡风"}, kTool},
    {{"plate", "a plate", "plates", "盘子", "个"}, kClay, {"serve cakes", "盛蛋糕"}, kFragile},
    {{"kettle", "a kettle", "kettles", "水壶", "个"}, kCopper, {"boil water", "烧水"}, kFragile},
    {{"fan", "a fan", "fans", "扇子", "把"}, kPaper, {"cool your face", "扇风"}, kToy},
    {{"ring", "a ring", "rings", "戒指", "枚"}, kCopper, {"adorn a finger", "装饰手指"}, kToy},
};
// clang-format on

}  // namespace

std::span<const AnimalRow> animal_rows() { return kAnimals; }
std::span<const FoodRow> food_rows() { return kFoods; }
std::span<const ThingRow> thing_rows() { return kThings; }

}  // namespace nanochat::synth
