"""
The words the sandbox tags with, in four languages, and which of them go together.

Ids that the vendor's page prints are used for the words it prints them for. All others are
unknown to us: theirs begin with SANDBOX, so that nobody takes them for real ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hangtag.contract import Detection, Language

PUBLISHED_IDS: Mapping[str, Mapping[str, str]] = {
    "category": {"jacket": "T0360"},
    "item": {"balmacaan-jacket": "T0345"},
    "color": {"beige": "T0326"},
    "print": {"solid": "T0198"},
    "look": {"casual": "T0141"},
    "texture": {"synthetic/polyester": "T0220"},
    "detail": {"buttoned": "T0097"},
    "length": {"half": "T0468"},
    "sleeve": {"long-sleeve": "T0082"},
    "neckline": {"hood": "T0342"},
    "fit": {"skinny": "T0480"},
    "shape": {"tapered": "T0493"},
    "gender": {"male": "T0418"},
    "image": {"nonFashion": "T0449"},
}


@dataclass(frozen=True, slots=True)
class Word:
    """A thing that is tagged, and its name in each language."""

    id: str
    names: Mapping[Language, str]


@dataclass(frozen=True, slots=True)
class Shade:
    """What is put around a colour's name in each language, for example `light-{}`."""

    patterns: Mapping[Language, str]

    def of(self, color: Word, language: Language) -> str:
        """The name of this shade of *color*."""
        return self.patterns[language].format(color.names[language].replace(" ", "-"))


Row = tuple[str, str, str, str]
"""English, Korean, Chinese, Japanese."""


def _words(group: str, *rows: Row) -> dict[str, Word]:
    published = PUBLISHED_IDS.get(group, {})
    return {
        row[0]: Word(
            published.get(row[0]) or _own_id(group, row[0]), _in_languages(row)
        )
        for row in rows
    }


def _own_id(group: str, name: str) -> str:
    return f"SANDBOX-{group}-{name}".upper().replace("/", "-").replace(" ", "-")


def _in_languages(row: Row) -> Mapping[Language, str]:
    english, korean, chinese, japanese = row
    return {"en": english, "ko": korean, "zh": chinese, "ja": japanese}


COLORS = _words(
    "color",
    ("black", "블랙", "黑色", "ブラック"),
    ("white", "화이트", "白色", "ホワイト"),
    ("grey", "그레이", "灰色", "グレー"),
    ("beige", "베이지", "米色", "ベージュ"),
    ("brown", "브라운", "棕色", "ブラウン"),
    ("khaki", "카키", "卡其色", "カーキ"),
    ("navy", "네이비", "藏青色", "ネイビー"),
    ("blue", "블루", "蓝色", "ブルー"),
    ("sky blue", "스카이블루", "天蓝色", "スカイブルー"),
    ("mint", "민트", "薄荷绿", "ミント"),
    ("green", "그린", "绿色", "グリーン"),
    ("yellow", "옐로우", "黄色", "イエロー"),
    ("orange", "오렌지", "橙色", "オレンジ"),
    ("red", "레드", "红色", "レッド"),
    ("wine", "와인", "酒红色", "ワイン"),
    ("pink", "핑크", "粉色", "ピンク"),
    ("lavender", "라벤더", "薰衣草紫", "ラベンダー"),
    ("purple", "퍼플", "紫色", "パープル"),
)

SHADES = {
    "plain": Shade(_in_languages(("{}", "{}", "{}", "{}"))),
    "light": Shade(_in_languages(("light-{}", "라이트{}", "浅{}", "ライト{}"))),
    "dark": Shade(_in_languages(("dark-{}", "다크{}", "深{}", "ダーク{}"))),
}

PRINTS = _words(
    "print",
    ("solid", "솔리드", "纯色", "無地"),
    ("stripe", "스트라이프", "条纹", "ストライプ"),
    ("check", "체크", "格纹", "チェック"),
)

GENDERS = _words(
    "gender",
    ("male", "남성", "男性", "男性"),
    ("female", "여성", "女性", "女性"),
    ("unknown", "알 수 없음", "未知", "不明"),
)

IMAGE_KINDS = _words("image", ("nonFashion", "비패션", "非时尚", "非ファッション"))

_ITEMS = _words(
    "item",
    ("tank-top", "탱크탑", "背心", "タンクトップ"),
    ("camisole", "캐미솔", "吊带衫", "キャミソール"),
    ("bustier", "뷔스티에", "胸衣", "ビスチェ"),
    ("ribbon-blouse", "리본 블라우스", "蝴蝶结衬衫", "リボンブラウス"),
    ("peplum-blouse", "페플럼 블라우스", "荷叶摆衬衫", "ペプラムブラウス"),
    ("t-shirt", "티셔츠", "T恤", "Tシャツ"),
    ("sweatshirt", "맨투맨", "卫衣", "スウェットシャツ"),
    ("raglan-t-shirt", "라글란 티셔츠", "插肩袖T恤", "ラグランTシャツ"),
    ("pullover", "풀오버", "套头衫", "プルオーバー"),
    ("cardigan", "가디건", "开衫", "カーディガン"),
    ("dress-shirt", "드레스 셔츠", "正装衬衫", "ドレスシャツ"),
    ("casual-shirt", "캐주얼 셔츠", "休闲衬衫", "カジュアルシャツ"),
    ("western-shirt", "웨스턴 셔츠", "西部衬衫", "ウエスタンシャツ"),
    ("suit-vest", "수트 베스트", "西装马甲", "スーツベスト"),
    ("quilted-vest", "퀼팅 베스트", "绗缝马甲", "キルティングベスト"),
    ("single-coat", "싱글 코트", "单排扣大衣", "シングルコート"),
    ("double-coat", "더블 코트", "双排扣大衣", "ダブルコート"),
    ("trench-coat", "트렌치 코트", "风衣", "トレンチコート"),
    ("balmacaan-jacket", "발마칸 재킷", "巴尔玛肯夹克", "バルマカーンジャケット"),
    ("blazer", "블레이저", "西装外套", "ブレザー"),
    ("safari-jacket", "사파리 재킷", "猎装夹克", "サファリジャケット"),
    ("bomber-jumper", "봄버 점퍼", "飞行员夹克", "ボンバージャケット"),
    ("windbreaker", "바람막이", "防风衣", "ウインドブレーカー"),
    ("stadium-jumper", "야구 점퍼", "棒球服", "スタジャン"),
    ("down-padding", "다운 패딩", "羽绒服", "ダウンジャケット"),
    ("light-padding", "경량 패딩", "轻薄棉服", "ライトダウン"),
    ("five-pocket-jeans", "파이브 포켓 청바지", "五袋牛仔裤", "5ポケットジーンズ"),
    ("cargo-jeans", "카고 청바지", "工装牛仔裤", "カーゴジーンズ"),
    ("slacks", "슬랙스", "西裤", "スラックス"),
    ("chino-pants", "치노 팬츠", "奇诺裤", "チノパンツ"),
    ("jogger-pants", "조거 팬츠", "束脚裤", "ジョガーパンツ"),
    ("pleated-skirt", "플리츠 스커트", "百褶裙", "プリーツスカート"),
    ("wrap-skirt", "랩 스커트", "裹身裙", "ラップスカート"),
    ("tiered-skirt", "티어드 스커트", "层层裙", "ティアードスカート"),
    ("one-piece-dress", "원피스", "连衣裙", "ワンピース"),
    ("wrap-dress", "랩 원피스", "裹身连衣裙", "ラップワンピース"),
    ("tiered-dress", "티어드 원피스", "层层连衣裙", "ティアードワンピース"),
    ("utility-jumpsuit", "유틸리티 점프수트", "工装连体裤", "ユーティリティつなぎ"),
    ("wide-jumpsuit", "와이드 점프수트", "阔腿连体裤", "ワイドジャンプスーツ"),
    ("one-piece-swimsuit", "원피스 수영복", "连体泳衣", "ワンピース水着"),
    ("bikini", "비키니", "比基尼", "ビキニ"),
)

_LOOKS = _words(
    "look",
    ("casual", "캐주얼", "休闲", "カジュアル"),
    ("feminine", "페미닌", "女性化", "フェミニン"),
    ("office look", "오피스룩", "通勤", "オフィスルック"),
    ("resort", "리조트", "度假", "リゾート"),
    ("party", "파티", "派对", "パーティー"),
    ("outdoor", "아웃도어", "户外", "アウトドア"),
    ("ethnic", "에스닉", "民族风", "エスニック"),
    ("marine", "마린", "海洋风", "マリン"),
    ("hippie", "히피", "嬉皮", "ヒッピー"),
    ("punk", "펑크", "朋克", "パンク"),
    ("retro", "레트로", "复古", "レトロ"),
    ("country", "컨트리", "乡村", "カントリー"),
    ("preppy", "프레피", "学院风", "プレッピー"),
    ("military", "밀리터리", "军装风", "ミリタリー"),
    ("wedding", "웨딩", "婚礼", "ウェディング"),
)

_TEXTURES = _words(
    "texture",
    ("fur", "퍼", "皮草", "ファー"),
    ("mouton", "무스탕", "羊羔毛", "ムートン"),
    ("suede", "스웨이드", "麂皮", "スエード"),
    ("angora", "앙고라", "安哥拉毛", "アンゴラ"),
    ("corduroy", "코듀로이", "灯芯绒", "コーデュロイ"),
    ("sequin/glitter", "시퀸/글리터", "亮片", "スパンコール"),
    ("denim", "데님", "牛仔布", "デニム"),
    ("jersey", "저지", "平纹针织", "ジャージー"),
    ("tweed", "트위드", "粗花呢", "ツイード"),
    ("velvet", "벨벳", "天鹅绒", "ベルベット"),
    ("vinyl/pvc", "비닐/PVC", "PVC", "ビニール/PVC"),
    ("wool/cashmere", "울/캐시미어", "羊毛/羊绒", "ウール/カシミヤ"),
    (
        "synthetic/polyester",
        "합성섬유/폴리에스터",
        "合成纤维/聚酯",
        "合成繊維/ポリエステル",
    ),
    ("knit", "니트", "针织", "ニット"),
    ("lace", "레이스", "蕾丝", "レース"),
    ("linen", "린넨", "亚麻", "リネン"),
    ("mesh", "메시", "网纱", "メッシュ"),
    ("fleece", "플리스", "抓绒", "フリース"),
    ("neoprene", "네오프렌", "氯丁橡胶", "ネオプレン"),
    ("silk", "실크", "丝绸", "シルク"),
    ("spandex", "스판덱스", "氨纶", "スパンデックス"),
    ("jacquard", "자카드", "提花", "ジャカード"),
    ("leather", "가죽", "皮革", "レザー"),
    ("cotton", "코튼", "棉", "コットン"),
    ("chiffon", "시폰", "雪纺", "シフォン"),
)

_DETAILS = _words(
    "detail",
    ("buttoned", "버튼", "纽扣", "ボタン"),
    ("pocket", "포켓", "口袋", "ポケット"),
    ("zip-up", "집업", "拉链", "ジップアップ"),
    ("ruffle", "러플", "荷叶边", "フリル"),
    ("shirring", "셔링", "褶皱", "シャーリング"),
    ("embroidery", "자수", "刺绣", "刺繍"),
    ("belt", "벨트", "腰带", "ベルト"),
    ("slit", "슬릿", "开衩", "スリット"),
    ("drawstring", "드로스트링", "抽绳", "ドローストリング"),
    ("quilting", "퀼팅", "绗缝", "キルティング"),
)

_LENGTHS = _words(
    "length",
    ("normal", "노멀", "常规", "ノーマル"),
    ("cropped", "크롭", "短款", "クロップド"),
    ("half", "하프", "中长款", "ハーフ"),
    ("long", "롱", "长款", "ロング"),
    ("mini", "미니", "迷你", "ミニ"),
    ("midi", "미디", "中长", "ミディ"),
    ("maxi", "맥시", "超长", "マキシ"),
    ("knee-length", "니렝스", "及膝", "膝丈"),
)

_SLEEVES = _words(
    "sleeve",
    ("long-sleeve", "긴소매", "长袖", "長袖"),
    ("short-sleeve", "반소매", "短袖", "半袖"),
    ("sleeveless", "민소매", "无袖", "ノースリーブ"),
    ("cropped-sleeve", "칠부소매", "七分袖", "七分袖"),
)

_NECKLINES = _words(
    "neckline",
    ("round-neck", "라운드넥", "圆领", "ラウンドネック"),
    ("v-neck", "브이넥", "V领", "Vネック"),
    ("u-neck", "유넥", "U领", "Uネック"),
    ("turtleneck", "터틀넥", "高领", "タートルネック"),
    ("shirt-collar", "셔츠칼라", "衬衫领", "シャツカラー"),
    ("square-neck", "스퀘어넥", "方领", "スクエアネック"),
    ("off-shoulder", "오프숄더", "露肩", "オフショルダー"),
    ("halter-neck", "홀터넥", "挂脖", "ホルターネック"),
    ("tailored-collar", "테일러드칼라", "西装领", "テーラードカラー"),
    ("hood", "후드", "连帽", "フード"),
)

_FITS = _words(
    "fit",
    ("normal-fit", "노멀핏", "合身", "ノーマルフィット"),
    ("tight-fit", "타이트핏", "紧身", "タイトフィット"),
    ("oversized", "오버사이즈", "宽松", "オーバーサイズ"),
    ("skinny", "스키니", "修身", "スキニー"),
)

_SHAPES = _words(
    "shape",
    ("h-line", "H라인", "H型", "Hライン"),
    ("a-line", "A라인", "A型", "Aライン"),
    ("pencil", "펜슬", "铅笔型", "ペンシル"),
    ("tapered", "테이퍼드", "锥形", "テーパード"),
)


@dataclass(frozen=True, slots=True)
class Category:
    """A category and what a garment of it can be; an empty choice is an attribute it lacks."""

    word: Word
    detection: Detection
    """The word of `context.detection` that asks for it."""
    object_type: str
    items: tuple[Word, ...]
    textures: tuple[Word, ...]
    looks: tuple[Word, ...]
    details: tuple[Word, ...]
    lengths: tuple[Word, ...]
    sleeves: tuple[Word, ...]
    necklines: tuple[Word, ...]
    fits: tuple[Word, ...]
    shapes: tuple[Word, ...]


def _category(
    row: Row,
    detection: Detection,
    *,
    items: str,
    textures: str,
    looks: str = "casual feminine preppy retro",
    details: str = "",
    lengths: str = "",
    sleeves: str = "",
    necklines: str = "",
    fits: str = "",
    shapes: str = "",
    object_type: str = "CLOTHING",
) -> Category:
    """A category whose choices are English words, with blanks between them."""
    return Category(
        word=_words("category", row)[row[0]],
        detection=detection,
        object_type=object_type,
        items=_choice(_ITEMS, items),
        textures=_choice(_TEXTURES, textures),
        looks=_choice(_LOOKS, looks),
        details=_choice(_DETAILS, details),
        lengths=_choice(_LENGTHS, lengths),
        sleeves=_choice(_SLEEVES, sleeves),
        necklines=_choice(_NECKLINES, necklines),
        fits=_choice(_FITS, fits),
        shapes=_choice(_SHAPES, shapes),
    )


def _choice(words: Mapping[str, Word], names: str) -> tuple[Word, ...]:
    return tuple(words[name.replace("_", " ")] for name in names.split())


CATEGORIES = (
    _category(
        ("top", "탑", "上衣", "トップス"),
        "TOP",
        items="tank-top camisole bustier",
        textures="silk lace cotton jersey sequin/glitter",
        looks="feminine resort party punk",
        lengths="normal cropped",
        sleeves="sleeveless",
        necklines="round-neck v-neck u-neck square-neck halter-neck",
        fits="normal-fit tight-fit",
    ),
    _category(
        ("blouse", "블라우스", "女式衬衫", "ブラウス"),
        "TOP",
        items="ribbon-blouse peplum-blouse",
        textures="silk chiffon cotton linen lace",
        looks="feminine office_look ethnic hippie",
        details="ruffle shirring embroidery buttoned",
        lengths="normal cropped",
        sleeves="long-sleeve short-sleeve cropped-sleeve",
        necklines="round-neck v-neck shirt-collar off-shoulder",
        fits="normal-fit oversized",
    ),
    _category(
        ("casual-top", "캐주얼탑", "休闲上衣", "カジュアルトップス"),
        "TOP",
        items="t-shirt sweatshirt raglan-t-shirt",
        textures="cotton jersey mesh synthetic/polyester",
        looks="casual marine retro preppy",
        details="embroidery pocket",
        lengths="normal cropped long",
        sleeves="long-sleeve short-sleeve cropped-sleeve",
        necklines="round-neck v-neck u-neck",
        fits="normal-fit tight-fit oversized",
    ),
    _category(
        ("knitwear", "니트웨어", "针织衫", "ニットウェア"),
        "TOP",
        items="pullover cardigan",
        textures="knit wool/cashmere angora cotton",
        looks="casual feminine preppy country",
        details="buttoned embroidery",
        lengths="normal cropped half",
        sleeves="long-sleeve cropped-sleeve",
        necklines="round-neck v-neck",
        fits="normal-fit tight-fit oversized",
    ),
    _category(
        ("shirt", "셔츠", "衬衫", "シャツ"),
        "TOP",
        items="dress-shirt casual-shirt western-shirt",
        textures="cotton linen denim corduroy",
        looks="casual office_look country preppy",
        details="buttoned pocket embroidery",
        lengths="normal long",
        sleeves="long-sleeve short-sleeve",
        necklines="shirt-collar",
        fits="normal-fit oversized tight-fit",
    ),
    _category(
        ("vest", "베스트", "马甲", "ベスト"),
        "TOP",
        items="suit-vest quilted-vest",
        textures="wool/cashmere tweed synthetic/polyester leather",
        looks="office_look outdoor preppy retro",
        details="buttoned pocket",
        lengths="normal cropped half",
        sleeves="sleeveless",
        necklines="v-neck round-neck",
        fits="normal-fit oversized",
    ),
    _category(
        ("coat", "코트", "大衣", "コート"),
        "TOP",
        items="single-coat double-coat trench-coat",
        textures="wool/cashmere tweed fur mouton cotton",
        looks="casual office_look retro military",
        details="buttoned pocket belt",
        lengths="half long",
        sleeves="long-sleeve",
        necklines="tailored-collar shirt-collar",
        fits="normal-fit oversized",
        shapes="h-line a-line",
    ),
    _category(
        ("jacket", "재킷", "夹克", "ジャケット"),
        "TOP",
        items="balmacaan-jacket blazer safari-jacket",
        textures="leather suede tweed corduroy synthetic/polyester",
        looks="casual office_look military punk",
        details="buttoned pocket belt",
        lengths="normal cropped half",
        sleeves="long-sleeve",
        necklines="tailored-collar shirt-collar",
        fits="normal-fit oversized",
    ),
    _category(
        ("jumper", "점퍼", "夹克衫", "ジャンパー"),
        "TOP",
        items="bomber-jumper windbreaker stadium-jumper",
        textures="synthetic/polyester leather vinyl/pvc cotton",
        looks="casual outdoor military retro",
        details="zip-up pocket drawstring embroidery",
        lengths="normal cropped",
        sleeves="long-sleeve",
        necklines="round-neck hood",
        fits="normal-fit oversized",
    ),
    _category(
        ("padding", "패딩", "棉服", "パデッドジャケット"),
        "TOP",
        items="down-padding light-padding",
        textures="synthetic/polyester fleece vinyl/pvc",
        looks="casual outdoor",
        details="zip-up quilting pocket",
        lengths="normal cropped half long",
        sleeves="long-sleeve",
        necklines="turtleneck hood",
        fits="normal-fit oversized",
    ),
    _category(
        ("jeans", "청바지", "牛仔裤", "ジーンズ"),
        "BOTTOM",
        items="five-pocket-jeans cargo-jeans",
        textures="denim",
        looks="casual country punk retro",
        details="pocket buttoned zip-up",
        lengths="long cropped",
        fits="normal-fit skinny oversized",
        shapes="tapered h-line",
    ),
    _category(
        ("pants", "팬츠", "裤子", "パンツ"),
        "BOTTOM",
        items="slacks chino-pants jogger-pants",
        textures="cotton linen wool/cashmere jersey corduroy",
        looks="casual office_look outdoor preppy",
        details="pocket drawstring zip-up",
        lengths="long cropped half",
        fits="normal-fit tight-fit oversized",
        shapes="tapered h-line",
    ),
    _category(
        ("skirt", "스커트", "半身裙", "スカート"),
        "BOTTOM",
        items="pleated-skirt wrap-skirt tiered-skirt",
        textures="cotton wool/cashmere chiffon jacquard velvet",
        looks="feminine preppy office_look hippie",
        details="slit belt buttoned",
        lengths="mini midi maxi knee-length",
        shapes="a-line h-line",
    ),
    _category(
        ("dress", "드레스", "连衣裙", "ワンピース"),
        "WHOLEBODY",
        items="one-piece-dress wrap-dress tiered-dress",
        textures="chiffon silk lace velvet cotton jersey",
        looks="feminine party resort wedding ethnic",
        details="ruffle shirring belt slit",
        lengths="mini midi maxi knee-length",
        sleeves="long-sleeve short-sleeve sleeveless cropped-sleeve",
        necklines="round-neck v-neck u-neck square-neck",
        fits="normal-fit tight-fit oversized",
        shapes="a-line h-line pencil",
    ),
    _category(
        ("jumpsuit", "점프수트", "连体裤", "ジャンプスーツ"),
        "WHOLEBODY",
        items="utility-jumpsuit wide-jumpsuit",
        textures="cotton denim linen synthetic/polyester",
        looks="casual retro outdoor punk",
        details="zip-up pocket belt buttoned",
        lengths="long cropped",
        sleeves="long-sleeve short-sleeve sleeveless",
        necklines="shirt-collar v-neck",
        fits="normal-fit oversized",
        shapes="h-line tapered",
    ),
    _category(
        ("swimwear", "수영복", "泳装", "水着"),
        "SWIMWEAR",
        items="one-piece-swimsuit bikini",
        textures="spandex neoprene",
        looks="resort marine",
        details="ruffle shirring",
        necklines="halter-neck square-neck v-neck",
        fits="tight-fit",
        object_type="SWIMWEAR",
    ),
)
