#include "data/synth/words.h"

namespace nanochat::synth {
namespace {

constexpr NounRow kJobs[] = {
    {"doctor", "a doctor", "doctors", "医生", "名"},
    {"nurse", "a nurse", "nurses", "护士", "名"},
    {"teacher", "a teacher", "teachers", "教师", "名"},
    {"baker", "a baker", "bakers", "面包师", "名"},
    {"farmer", "a farmer", "farmers", "农民", "名"},
    {"fisher", "a fisher", "fishers", "渔民", "名"},
    {"carpenter", "a carpenter", "carpenters", "木匠", "名"},
    {"painter", "a painter", "painters", "画家", "名"},
    {"singer", "a singer", "singers", "歌手", "名"},
    {"pilot", "a pilot", "pilots", "飞行员", "名"},
    {"driver", "a driver", "drivers", "司机", "名"},
    {"cook", "a cook", "cooks", "厨师", "名"},
    {"tailor", "a tailor", "tailors", "裁缝", "名"},
    {"gardener", "a gardener", "gardeners", "园丁", "名"},
    {"firefighter", "a firefighter", "firefighters", "消防员", "名"},
    {"police officer", "a police officer", "police officers", "警察", "名"},
    {"librarian", "a librarian", "librarians", "图书管理员", "名"},
    {"writer", "a writer", "writers", "作家", "名"},
    {"dentist", "a dentist", "dentists", "牙医", "名"},
    {"sailor", "a sailor", "sailors", "水手", "名"},
    {"architect", "an architect", "architects", "建筑师", "名"},
    {"clockmaker", "a clockmaker", "clockmakers", "钟表匠", "名"},
    {"photographer", "a photographer", "photographers", "摄影师", "名"},
    {"scientist", "a scientist", "scientists", "科学家", "名"},
    {"musician", "a musician", "musicians", "音乐家", "名"},
    {"miner", "a miner", "miners", "矿工", "名"},
    {"shoemaker", "a shoemaker", "shoemakers", "鞋匠", "名"},
    {"shepherd", "a shepherd", "shepherds", "牧羊人", "名"},
    {"lawyer", "a lawyer", "lawyers", "律师", "名"},
    {"judge", "a judge", "judges", "法官", "名"},
    {"engineer", "an engineer", "engineers", "工程师", "名"},
    {"actor", "an actor", "actors", "演员", "名"},
    {"dancer", "a dancer", "dancers", "舞蹈家", "名"},
    {"letter carrier", "a letter carrier", "letter carriers", "邮递员", "名"},
};

constexpr NameRow kColours[] = {
    {"red", "红色"},  {"blue", "蓝色"},  {"green", "绿色"},  {"yellow", "黄色"}, {"purple", "紫色"},
    {"pink", "粉色"}, {"white", "白色"}, {"black", "黑色"},  {"brown", "棕色"},  {"orange", "橙色"},
    {"grey", "灰色"}, {"gold", "金色"},  {"silver", "银色"},
};

constexpr NameRow kHobbies[] = {
    {"swimming", "游泳"},
    {"painting", "画画"},
    {"singing", "唱歌"},
    {"fishing", "钓鱼"},
    {"dancing", "跳舞"},
    {"reading", "看书"},
    {"cooking", "做饭"},
    {"running", "跑步"},
    {"skating", "滑冰"},
    {"cycling", "骑车"},
    {"flying kites", "放风筝"},
    {"playing chess", "下棋"},
    {"playing football", "踢足球"},
    {"gardening", "种花"},
    {"climbing hills", "爬山"},
    {"playing the piano", "弹钢琴"},
    {"taking photographs", "拍照"},
    {"telling stories", "讲故事"},
    {"collecting stones", "收集石头"},
    {"collecting stamps", "集邮"},
    {"folding paper boats", "折纸船"},
    {"watching birds", "观鸟"},
    {"knitting", "织毛衣"},
    {"writing poems", "写诗"},
};

constexpr NameRow kTravel[] = {
    {"by bike", "骑自行车"}, {"by bus", "坐公共汽车"}, {"by boat", "坐船"},
    {"by train", "坐火车"},  {"on foot", "步行"},      {"on a horse", "骑马"},
    {"by car", "开车"},      {"by tram", "坐电车"},    {"on a scooter", "骑摩托车"},
};

constexpr NameRow kLandscapes[] = {
    {"by the sea", "海边"},          {"on a hill", "小山上"},
    {"by a river", "河边"},          {"in a forest", "森林里"},
    {"in a green valley", "山谷里"}, {"by a lake", "湖边"},
    {"on an island", "小岛上"},      {"at the edge of the desert", "沙漠边上"},
    {"on a wide plain", "平原上"},   {"at the foot of a mountain", "大山脚下"},
};

constexpr NameRow kPrides[] = {
    {"bread", "面包"},
    {"old clock", "古老的大钟"},
    {"honey", "蜂蜜"},
    {"lanterns", "灯笼"},
    {"roses", "玫瑰花"},
    {"cheese", "奶酪"},
    {"tea", "茶叶"},
    {"kites", "风筝"},
    {"tall tower", "高塔"},
    {"stone bridge", "石头桥"},
    {"bells", "铜钟"},
    {"silk", "丝绸"},
    {"fresh fish", "鲜鱼"},
    {"pottery", "陶器"},
    {"big library", "大图书馆"},
    {"windmills", "风车"},
    {"apples", "苹果"},
    {"music", "音乐"},
    {"puppets", "木偶"},
    {"wooden toys", "木头玩具"},
    {"hot springs", "温泉"},
    {"fireworks", "烟花"},
};

constexpr NameRow kMonths[] = {
    {"January", "一月"},   {"February", "二月"}, {"March", "三月"},      {"April", "四月"},
    {"May", "五月"},       {"June", "六月"},     {"July", "七月"},       {"August", "八月"},
    {"September", "九月"}, {"October", "十月"},  {"November", "十一月"}, {"December", "十二月"},
};

constexpr NameRow kWeekdays[] = {
    {"Monday", "星期一"}, {"Tuesday", "星期二"},  {"Wednesday", "星期三"}, {"Thursday", "星期四"},
    {"Friday", "星期五"}, {"Saturday", "星期六"}, {"Sunday", "星期日"},
};

constexpr PlaceRow kPlaces[] = {
    {"the park", "in the park", "公园", "公园里"},
    {"the river", "by the river", "小河边", "小河边"},
    {"the forest", "in the forest", "森林", "森林里"},
    {"the market", "at the market", "集市", "集市上"},
    {"the beach", "on the beach", "海滩", "海滩上"},
    {"the school", "at the school", "学校", "学校里"},
    {"the old bridge", "by the old bridge", "老桥边", "老桥边"},
    {"the garden", "in the garden", "花园", "花园里"},
    {"the hill", "on the hill", "山坡", "山坡上"},
    {"the farm", "on the farm", "农场", "农场里"},
    {"the lake", "by the lake", "湖边", "湖边"},
    {"the field", "in the field", "田野", "田野里"},
    {"the square", "on the square", "广场", "广场上"},
    {"the mill", "by the mill", "磨坊", "磨坊旁边"},
    {"the orchard", "in the orchard", "果园", "果园里"},
    {"the playground", "on the playground", "操场", "操场上"},
};

}  // namespace

std::span<const NounRow> jobs() { return kJobs; }
std::span<const NameRow> colours() { return kColours; }
std::span<const NameRow> hobbies() { return kHobbies; }
std::span<const NameRow> ways_to_travel() { return kTravel; }
std::span<const NameRow> landscapes() { return kLandscapes; }
std::span<const NameRow> town_prides() { return kPrides; }
std::span<const NameRow> months() { return kMonths; }
std::span<const NameRow> weekdays() { return kWeekdays; }
std::span<const PlaceRow> places() { return kPlaces; }

}  // namespace nanochat::synth
