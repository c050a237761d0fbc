#include "data/synth/words.h"

namespace nanochat::synth {
namespace {

constexpr NameRow kGirls[] = {
    {"Anna", "安娜"},     {"Lucy", "露西"},     {"Emma", "艾玛"},    {"Mia", "米娅"},
    {"Lily", "莉莉"},     {"Rose", "罗丝"},     {"Julia", "朱莉娅"}, {"Nina", "尼娜"},
    {"Clara", "克拉拉"},  {"Ella", "艾拉"},     {"Alice", "爱丽丝"}, {"Molly", "莫莉"},
    {"Sofia", "索菲亚"},  {"Daisy", "黛西"},    {"Grace", "格蕾丝"}, {"Ivy", "艾薇"},
    {"Jenny", "珍妮"},    {"Kate", "凯特"},     {"Nora", "诺拉"},    {"Polly", "波莉"},
    {"Tina", "蒂娜"},     {"Wendy", "温蒂"},    {"Zoe", "佐伊"},     {"Amy", "艾米"},
    {"Betty", "贝蒂"},    {"Xiaohong", "小红"}, {"Meiling", "美玲"}, {"Xiaomei", "小梅"},
    {"Fangfang", "芳芳"}, {"Yueyue", "月月"},   {"Lanlan", "兰兰"},  {"Tingting", "婷婷"},
    {"Qingqing", "青青"}, {"Xueer", "雪儿"},    {"Xiaoyun", "晓云"},
};

constexpr NameRow kBoys[] = {
    {"Tom", "汤姆"},      {"Jack", "杰克"},      {"Benny", "本尼"},    {"Sam", "萨姆"},
    {"Max", "马克斯"},    {"Leo", "利奥"},       {"Peter", "彼得"},    {"Oscar", "奥斯卡"},
    {"Henry", "亨利"},    {"Felix", "菲利克斯"}, {"Simon", "西蒙"},    {"Oliver", "奥利弗"},
    {"Noah", "诺亚"},     {"Lucas", "卢卡斯"},   {"Nick", "尼克"},     {"Robin", "罗宾"},
    {"Toby", "托比"},     {"Adam", "亚当"},      {"Bob", "鲍勃"},      {"Daniel", "丹尼尔"},
    {"Eric", "埃里克"},   {"Hugo", "雨果"},      {"Kevin", "凯文"},    {"Theo", "西奥"},
    {"Owen", "欧文"},     {"Xiaoming", "小明"},  {"Daming", "大明"},   {"Xiaogang", "小刚"},
    {"Dongdong", "冬冬"}, {"Weiwei", "伟伟"},    {"Xiaolong", "小龙"}, {"Yangyang", "阳阳"},
    {"Lele", "乐乐"},     {"Junjun", "军军"},    {"Pengpeng", "鹏鹏"},
};

constexpr NameRow kWomen[] = {
    {"Mary", "玛丽"},       {"Sarah", "萨拉"},   {"Helen", "海伦"},   {"Laura", "劳拉"},
    {"Olivia", "奥利维亚"}, {"Vera", "薇拉"},    {"Dora", "朵拉"},    {"Eva", "伊娃"},
    {"Fiona", "菲奥娜"},    {"Hannah", "汉娜"},  {"Irene", "艾琳"},   {"Judy", "朱迪"},
    {"Martha", "玛莎"},     {"Susan", "苏珊"},   {"Linda", "琳达"},   {"Carol", "卡罗尔"},
    {"Lihua", "丽华"},      {"Guiying", "桂英"}, {"Xiuzhen", "秀珍"}, {"Yulan", "玉兰"},
    {"Chunmei", "春梅"},    {"Shufen", "淑芬"},  {"Huimin", "惠敏"},  {"Yaqin", "雅琴"},
    {"Meifeng", "美凤"},
};

constexpr NameRow kMen[] = {
    {"Paul", "保罗"},      {"David", "大卫"},   {"Harry", "哈里"},    {"George", "乔治"},
    {"Frank", "弗兰克"},   {"Martin", "马丁"},  {"Victor", "维克多"}, {"Walter", "沃尔特"},
    {"Albert", "艾伯特"},  {"Carl", "卡尔"},    {"Fred", "弗雷德"},   {"Ivan", "伊万"},
    {"James", "詹姆斯"},   {"Louis", "路易斯"}, {"Ralph", "拉尔夫"},  {"William", "威廉"},
    {"Arthur", "亚瑟"},    {"Jianguo", "建国"}, {"Zhiqiang", "志强"}, {"Haoran", "浩然"},
    {"Guodong", "国栋"},   {"Wenbin", "文斌"},  {"Yongjun", "永俊"},  {"Deming", "德民"},
    {"Zhongping", "忠平"},
};

constexpr NameRow kPets[] = {
    {"Snowball", "雪球"}, {"Shadow", "影子"}, {"Pepper", "胡椒"},   {"Coco", "可可"},
    {"Lucky", "来福"},    {"Mimi", "咪咪"},   {"Bobo", "波波"},     {"Dodo", "多多"},
    {"Kiki", "琪琪"},     {"Momo", "毛毛"},   {"Toto", "托托"},     {"Lulu", "露露"},
    {"Pippin", "皮皮"},   {"Buddy", "巴迪"},  {"Rex", "雷克"},      {"Rocky", "洛奇"},
    {"Button", "扣子"},   {"Cookie", "曲奇"}, {"Pudding", "布丁"},  {"Bean", "豆豆"},
    {"Starry", "星星"},   {"Luna", "露娜"},   {"Cloud", "云朵"},    {"Thunder", "雷雷"},
    {"Blaze", "火火"},    {"Frosty", "霜霜"}, {"Cinnamon", "肉桂"}, {"Muffin", "松饼"},
    {"Waffle", "华夫"},   {"Marble", "弹珠"}, {"Velvet", "丝绒"},   {"Whiskers", "胡须"},
    {"Patch", "补丁"},    {"Spotty", "点点"}, {"Stripe", "条条"},   {"Fluffy", "绒绒"},
    {"Speedy", "闪电"},   {"Zippy", "嗖嗖"},  {"Jumper", "跳跳"},   {"Hopper", "蹦蹦"},
    {"Bubbles", "泡泡"},  {"Splash", "水花"}, {"Pebble", "石子"},   {"Sandy", "沙沙"},
    {"Goldie", "金金"},   {"Pearl", "珍珠"},  {"Jade", "翡翠"},     {"Amber", "琥珀"},
    {"Captain", "船长"},  {"Duke", "公爵"},   {"Prince", "王子"},   {"Queenie", "女王"},
    {"Bandit", "强盗"},   {"Pirate", "海盗"}, {"Wizard", "巫师"},   {"Pixie", "精灵"},
    {"Echo", "回声"},     {"Melody", "旋律"}, {"Tango", "探戈"},    {"Ziggy", "吉吉"},
    {"Pickle", "皮克"},   {"Mochi", "麻薯"},  {"Taro", "芋头"},     {"Sesame", "芝麻"},
    {"Maple", "枫枫"},    {"Willow", "柳柳"}, {"Clover", "三叶"},   {"Comet", "彗星"},
    {"Rascal", "淘淘"},   {"Pompom", "团团"}, {"Dumbo", "圆圆"},    {"Nutty", "果果"},
};

constexpr NameRow kTowns[] = {
    {"Millbrook", "磨溪镇"},   {"Oakhill", "橡山镇"},     {"Riverton", "河湾镇"},
    {"Maplewood", "枫林镇"},   {"Stonebridge", "石桥镇"}, {"Greenfield", "绿野镇"},
    {"Sandport", "沙港镇"},    {"Foxdale", "狐谷镇"},     {"Windham", "风车镇"},
    {"Lakeside", "湖畔镇"},    {"Snowdon", "雪峰镇"},     {"Pinecrest", "松岭镇"},
    {"Applegate", "果园镇"},   {"Silverton", "银光镇"},   {"Moonford", "月滩镇"},
    {"Sunvale", "阳谷镇"},     {"Willowby", "柳荫镇"},    {"Redcliff", "红崖镇"},
    {"Bluewater", "蓝水镇"},   {"Goldcrest", "金顶镇"},   {"Ashford", "白蜡镇"},
    {"Cloverfield", "苜蓿镇"}, {"Deerpark", "鹿园镇"},    {"Eastbay", "东湾镇"},
    {"Westgate", "西门镇"},    {"Northwick", "北风镇"},   {"Southmoor", "南原镇"},
    {"Harborview", "望港镇"},  {"Ironbell", "铁钟镇"},    {"Kingsbury", "王庄镇"},
    {"Lanternhill", "灯山镇"}, {"Marshfield", "芦苇镇"},  {"Nutwood", "栗林镇"},
    {"Larkfield", "云雀镇"},   {"Peachtree", "桃花镇"},   {"Quietwater", "静水镇"},
    {"Rosedale", "玫瑰镇"},    {"Copperton", "铜山镇"},   {"Driftwood", "浮木镇"},
    {"Elmstead", "榆树镇"},
};

}  // namespace

std::span<const NameRow> girl_names() { return kGirls; }
std::span<const NameRow> boy_names() { return kBoys; }
std::span<const NameRow> woman_names() { return kWomen; }
std::span<const NameRow> man_names() { return kMen; }
std::span<const NameRow> pet_names() { return kPets; }
std::span<const NameRow> town_names() { return kTowns; }

}  // namespace nanochat::synth
