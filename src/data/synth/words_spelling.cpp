#include "data/synth/words.h"

namespace nanochat::synth {
namespace {

// Filled up to the margin, which the formatter would undo.
// clang-format off
constexpr std::string_view kWords[] = {
    "able", "about", "above", "across", "act", "add", "afraid", "after", "again", "age", "ago",
    "air", "all", "alone", "along", "also", "always", "among", "and", "animal", "answer", "any",
    "apart", "apple", "april", "arm", "around", "arrive", "art", "ask", "asleep", "aunt", "autumn",
    "away", "baby", "back", "bad", "bag", "bake", "balloon", "banana", "band", "bank", "barn",
    "bath", "beach", "bean", "bear", "beat", "beautiful", "because", "bed", "bedroom", "bee",
    "before", "begin", "behind", "believe", "below", "bench", "berry", "best", "better", "between",
    "big", "bird", "birthday", "biscuit", "bite", "black", "blue", "board", "boat", "body", "bone",
    "book", "bottom", "branch", "brave", "bread", "break", "breakfast", "breath", "bridge",
    "bright", "bring", "broken", "brother", "brown", "bubble", "build", "bunny", "burn", "bus",
    "bush", "busy", "button", "buy", "cake", "calm", "camp", "candle", "candy", "careful",
    "carpet", "carrot", "carry", "castle", "catch", "cave", "chain", "chalk", "chance", "change",
    "chase", "cheap", "cheek", "cheese", "cherry", "chest", "chicken", "child", "chimney",
    "choose", "circle", "city", "clap", "class", "clean", "clear", "clever", "climb", "close",
    "cloth", "cloud", "clown", "coal", "coast", "coffee", "cold", "collect", "color", "come",
    "cook", "cool", "corner", "cotton", "cough", "count", "country", "cousin", "cover", "crazy",
    "cream", "creek", "cross", "crowd", "crown", "cry", "curious", "curtain", "dance", "danger",
    "dark", "daughter", "day", "dear", "december", "deep", "deer", "dentist", "desert", "desk",
    "dinner", "dirty", "dish", "doctor", "dollar", "donkey", "door", "dragon", "draw", "dream",
    "dress", "drink", "drive", "drop", "dry", "dust", "eager", "ear", "early", "earth", "east",
    "easy", "eat", "egg", "eight", "elbow", "eleven", "empty", "end", "enjoy", "enough", "evening",
    "every", "eye", "face", "fair", "fairy", "fall", "family", "famous", "farmer", "fast",
    "father", "feather", "february", "feed", "feel", "fence", "field", "fifteen", "fight", "fill",
    "find", "finger", "finish", "fire", "first", "fish", "five", "flag", "flame", "flat", "floor",
    "flour", "flower", "fly", "fold", "follow", "food", "foot", "forest", "forget", "fork",
    "found", "fountain", "four", "free", "fresh", "friday", "friend", "fruit", "full", "funny",
    "game", "garden", "gate", "gentle", "giant", "gift", "girl", "give", "glad", "glass", "glove",
    "goat", "gold", "goodbye", "grape", "grass", "great", "green", "ground", "group", "grow",
    "guess", "guest", "hair", "half", "hammer", "hand", "happy", "hard", "harvest", "hat", "head",
    "hear", "heart", "heavy", "hello", "help", "hidden", "high", "hill", "hobby", "holiday",
    "home", "honest", "honey", "hope", "horse", "hospital", "hot", "hour", "house", "hundred",
    "hungry", "hurry", "ice", "idea", "insect", "inside", "island", "jacket", "january", "jelly",
    "join", "joke", "journey", "juice", "july", "jump", "june", "jungle", "keep", "kettle", "kind",
    "king", "kitchen", "kite", "kitten", "knee", "knock", "know", "ladder", "lake", "lamp",
    "language", "large", "last", "late", "laugh", "leaf", "learn", "leather", "left", "lemon",
    "lesson", "letter", "library", "light", "lion", "listen", "little", "live", "lonely", "long",
    "look", "lose", "loud", "love", "lucky", "lunch", "machine", "magic", "mailbox", "make",
    "many", "map", "march", "market", "match", "meadow", "meal", "measure", "meat", "medicine",
    "meet", "melon", "melt", "middle", "milk", "mill", "minute", "mirror", "mistake", "mix",
    "monday", "money", "monkey", "month", "moon", "morning", "mother", "mountain", "mouse",
    "mouth", "move", "much", "mud", "museum", "mushroom", "music", "nail", "name", "narrow",
    "near", "neck", "needle", "neighbor", "nest", "never", "new", "next", "nice", "night", "nine",
    "noise", "north", "nose", "note", "nothing", "november", "number", "nurse", "nut", "oak",
    "ocean", "october", "offer", "old", "onion", "open", "orange", "other", "owl", "paint", "pair",
    "palace", "pan", "paper", "parade", "parcel", "parent", "park", "parrot", "party", "path",
    "peach", "peanut", "pear", "pebble", "pencil", "penguin", "people", "pepper", "piano",
    "picnic", "picture", "piece", "pillow", "pilot", "pine", "pink", "pirate", "place", "plan",
    "planet", "plant", "plate", "play", "please", "pocket", "poem", "point", "pond", "pony",
    "poor", "potato", "pour", "present", "pretty", "prince", "promise", "proud", "pull", "pumpkin",
    "puppet", "puppy", "purple", "purse", "push", "puzzle", "queen", "question", "quick", "quiet",
    "rabbit", "race", "rain", "rainbow", "reach", "read", "ready", "real", "red", "remember",
    "rest", "rice", "rich", "ride", "right", "ring", "river", "road", "robin", "rock", "roof",
    "room", "root", "rope", "rose", "round", "royal", "run", "sad", "safe", "sail", "salt", "sand",
    "sandwich", "saturday", "save", "school", "science", "scissors", "sea", "search", "season",
    "second", "secret", "seed", "seven", "shade", "shadow", "share", "sharp", "sheep", "shell",
    "shine", "ship", "shirt", "shoe", "shop", "shore", "short", "shoulder", "shout", "show", "shy",
    "silent", "silver", "simple", "sing", "sister", "six", "skin", "sky", "sleep", "slow", "small",
    "smell", "smile", "smoke", "snail", "snake", "snow", "soap", "sock", "soft", "soldier", "song",
    "soup", "south", "space", "speak", "special", "spider", "spoon", "spring", "square",
    "squirrel", "stair", "star", "start", "station", "steam", "step", "stick", "stone", "stop",
    "storm", "story", "straight", "strange", "strawberry", "stream", "street", "strong", "student",
    "sugar", "suitcase", "summer", "sun", "sunday", "surprise", "sweet", "swim", "swing", "table",
    "tail", "talk", "tall", "taste", "teach", "teacher", "team", "tear", "ten", "thank", "thick",
    "thin", "thing", "think", "thirsty", "thousand", "three", "thumb", "thunder", "thursday",
    "ticket", "tidy", "tiger", "time", "tiny", "tired", "today", "together", "tomato", "tomorrow",
    "tongue", "tooth", "top", "touch", "towel", "tower", "town", "toy", "train", "travel",
    "treasure", "tree", "triangle", "trip", "trouble", "true", "trust", "truth", "tuesday", "turn",
    "turtle", "twelve", "twenty", "two", "ugly", "umbrella", "uncle", "under", "unhappy", "useful",
    "valley", "vegetable", "village", "violin", "visit", "voice", "wagon", "wait", "wake", "walk",
    "wall", "warm", "wash", "watch", "water", "wave", "weather", "wednesday", "week", "welcome",
    "west", "wet", "whale", "wheat", "wheel", "whisper", "whistle", "white", "wide", "wild",
    "wind", "window", "winter", "wish", "wolf", "woman", "wonder", "wood", "wool", "word", "work",
    "world", "worry", "write", "yard", "year", "yellow", "yesterday", "young", "zebra", "zero",
};

constexpr std::string_view kChineseWords[] = {
    "太阳", "月亮", "星星", "白云", "天空", "大地", "河流", "大山", "海洋", "湖水", "春天", "夏天",
    "秋天", "冬天", "早晨", "中午", "晚上", "今天", "明天", "昨天", "爸爸", "妈妈", "哥哥", "姐姐",
    "弟弟", "妹妹", "爷爷", "奶奶", "朋友", "老师", "同学", "邻居", "学校", "教室", "操场", "黑板",
    "书包", "作业", "铅笔", "橡皮", "房子", "窗户", "房门", "桌子", "沙发", "厨房", "花园", "院子",
    "街道", "商店", "医院", "公园", "车站", "火车", "飞机", "汽车", "轮船", "自行车", "苹果树",
    "向日葵", "西红柿", "胡萝卜", "巧克力", "冰淇淋", "图书馆", "动物园", "幼儿园", "火车站",
    "大熊猫", "长颈鹿", "猫头鹰", "啄木鸟", "红绿灯", "笔记本", "洗衣机", "电视机", "收音机",
    "望远镜", "滑滑梯", "跷跷板", "放风筝", "捉迷藏", "讲故事", "做游戏", "吃早饭", "洗衣服",
    "扫院子", "下大雨", "刮大风", "堆雪人", "打雷声", "荷花池", "葡萄藤", "小溪水", "石头桥",
    "稻草人", "灯笼果", "萤火虫", "蒲公英", "蜗牛壳", "金银花", "风和日丽", "春暖花开", "万里无云",
    "五颜六色", "高高兴兴", "快快乐乐", "干干净净", "整整齐齐", "大大小小", "来来往往", "鸟语花香",
    "山清水秀", "一心一意", "三心二意", "十全十美", "百花齐放", "千山万水", "四面八方", "七上八下",
    "亡羊补牢", "守株待兔", "画蛇添足", "井底之蛙", "对牛弹琴", "自言自语", "有说有笑", "同心协力",
    "助人为乐", "勤学好问", "实话实说", "和颜悦色", "聚精会神", "专心致志", "认认真真", "平平安安",
    "热热闹闹", "安安静静", "清清楚楚", "明明白白", "开开心心", "勇敢", "诚实", "善良", "聪明",
    "努力", "认真", "快乐", "温暖", "明亮", "安静", "美丽", "干净", "新鲜", "奇怪", "简单", "困难",
    "容易", "帮助", "分享", "学习", "思考", "观察", "练习", "发现", "保护", "感谢", "道歉", "原谅",
    "等待", "出发", "回家", "迷路", "唱歌", "跳舞", "画画", "跑步", "游泳", "爬山", "钓鱼", "下棋",
    "种树", "浇水", "采花", "摘果", "喂鸡", "放羊", "划船", "骑马", "写信", "读书", "数数", "拍球",
    "踢球", "跳绳", "睡觉", "起床", "刷牙", "洗脸", "梳头", "穿衣", "吃饭", "喝水", "做饭", "买菜",
    "卖花", "修车", "盖房", "织布", "打铁", "磨面", "酿蜜", "烤饼", "包粽子", "赛龙舟", "贴春联",
    "放鞭炮", "看花灯", "吃月饼", "踏青草", "登高山",
};

constexpr std::string_view kCharacters[] = {
    "山", "水", "石", "田", "土", "木", "禾", "竹", "花", "草", "日", "月", "星", "云", "风", "雨",
    "雪", "火", "人", "口", "手", "足", "耳", "目", "心", "马", "牛", "羊", "犬", "鸟", "鱼", "虫",
    "米", "豆", "瓜", "果", "大", "小", "上", "下", "左", "右", "中", "天", "地", "红", "黄", "蓝",
    "白", "黑", "金", "银",
};
// clang-format on

}  // namespace

std::span<const std::string_view> spelling_words() { return kWords; }
std::span<const std::string_view> chinese_words() { return kChineseWords; }
std::span<const std::string_view> chinese_characters() { return kCharacters; }

}  // namespace nanochat::synth
