"""
The words that the sandbox tags with, in four languages.

Words with an id on the vendor's page have that id. The ids of the other words are not published:
they begin with SANDBOX, so that they are not mistaken for real ids.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hangtag.tagger_api import Language

PUBLISHED_IDS: Mapping[str, Mapping[str, str]] = {
    "category": {"jacket": "T0360", "boots": "T0495"},
    "item": {"balmacaan-jacket": "T0345", "ankle-boots": "T0503"},
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
    "heel height": {"high(7~)": "T0536"},
    "toe": {"round-toe": "T0537"},
    "heel shape": {"stiletto": "T0539", "ball": "T0540"},
    "sole": {"platform": "T0542", "chunky-sneaker": "T0543"},
    "gender": {"male": "T0418"},
    "image": {"nonFashion": "T0449"},
}


@dataclass(frozen=True, slots=True)
class Word:
    """A value of a tag, with its id and its name in each language."""

    id: str
    names: Mapping[Language, str]


@dataclass(frozen=True, slots=True)
class Shade:
    """A pattern for a colour's name in each language, for example `light-{}`."""

    patterns: Mapping[Language, str]

    def of(self, color: Word, language: Language) -> str:
        """Return the name of this shade of *color*."""
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
    return re.sub("[^A-Z0-9]+", "-", f"SANDBOX-{group}-{name}".upper()).strip("-")


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

ITEMS = _words(
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
    ("ankle-boots", "앵클부츠", "短靴", "アンクルブーツ"),
    ("chelsea-boots", "첼시부츠", "切尔西靴", "サイドゴアブーツ"),
    ("long-boots", "롱부츠", "长靴", "ロングブーツ"),
    ("low-top-sneakers", "로우탑 스니커즈", "低帮运动鞋", "ローカットスニーカー"),
    ("high-top-sneakers", "하이탑 스니커즈", "高帮运动鞋", "ハイカットスニーカー"),
    ("loafers", "로퍼", "乐福鞋", "ローファー"),
    ("ballet-flats", "발레 플랫", "芭蕾平底鞋", "バレエシューズ"),
    ("stiletto-pumps", "스틸레토 펌프스", "细跟高跟鞋", "ピンヒールパンプス"),
    ("slingbacks", "슬링백", "露跟高跟鞋", "スリングバック"),
    ("strap-sandals", "스트랩 샌들", "绑带凉鞋", "ストラップサンダル"),
    ("mules", "뮬", "穆勒鞋", "ミュール"),
)

LOOKS = _words(
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

TEXTURES = _words(
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

DETAILS = _words(
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

LENGTHS = _words(
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

SLEEVES = _words(
    "sleeve",
    ("long-sleeve", "긴소매", "长袖", "長袖"),
    ("short-sleeve", "반소매", "短袖", "半袖"),
    ("sleeveless", "민소매", "无袖", "ノースリーブ"),
    ("cropped-sleeve", "칠부소매", "七分袖", "七分袖"),
)

NECKLINES = _words(
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

FITS = _words(
    "fit",
    ("normal-fit", "노멀핏", "合身", "ノーマルフィット"),
    ("tight-fit", "타이트핏", "紧身", "タイトフィット"),
    ("oversized", "오버사이즈", "宽松", "オーバーサイズ"),
    ("skinny", "스키니", "修身", "スキニー"),
)

SHAPES = _words(
    "shape",
    ("h-line", "H라인", "H型", "Hライン"),
    ("a-line", "A라인", "A型", "Aライン"),
    ("pencil", "펜슬", "铅笔型", "ペンシル"),
    ("tapered", "테이퍼드", "锥形", "テーパード"),
)

HEEL_HEIGHTS = _words(
    "heel height",
    ("flat(~2)", "플랫(~2)", "平跟(~2)", "フラット(~2)"),
    ("middle(3~6)", "미들(3~6)", "中跟(3~6)", "ミドル(3~6)"),
    ("high(7~)", "하이(7~)", "高跟(7~)", "ハイ(7~)"),
)

TOES = _words(
    "toe",
    ("round-toe", "라운드토", "圆头", "ラウンドトゥ"),
    ("pointed-toe", "포인티드토", "尖头", "ポインテッドトゥ"),
    ("square-toe", "스퀘어토", "方头", "スクエアトゥ"),
    ("open-toe", "오픈토", "露趾", "オープントゥ"),
)

HEEL_SHAPES = _words(
    "heel shape",
    ("stiletto", "스틸레토", "细跟", "スティレット"),
    ("ball", "볼", "球形跟", "ボール"),
    ("block", "블록", "粗跟", "ブロック"),
    ("wedge", "웨지", "坡跟", "ウェッジ"),
)

SOLES = _words(
    "sole",
    ("platform", "플랫폼", "厚底", "プラットフォーム"),
    ("chunky-sneaker", "청키 스니커", "厚重运动鞋底", "チャンキースニーカー"),
    ("flat-sole", "플랫솔", "平底", "フラットソール"),
    ("lug-sole", "러그솔", "锯齿底", "ラグソール"),
)

CATEGORIES = _words(
    "category",
    ("top", "탑", "上衣", "トップス"),
    ("blouse", "블라우스", "女式衬衫", "ブラウス"),
    ("casual-top", "캐주얼탑", "休闲上衣", "カジュアルトップス"),
    ("knitwear", "니트웨어", "针织衫", "ニットウェア"),
    ("shirt", "셔츠", "衬衫", "シャツ"),
    ("vest", "베스트", "马甲", "ベスト"),
    ("coat", "코트", "大衣", "コート"),
    ("jacket", "재킷", "夹克", "ジャケット"),
    ("jumper", "점퍼", "夹克衫", "ジャンパー"),
    ("padding", "패딩", "棉服", "パデッドジャケット"),
    ("jeans", "청바지", "牛仔裤", "ジーンズ"),
    ("pants", "팬츠", "裤子", "パンツ"),
    ("skirt", "스커트", "半身裙", "スカート"),
    ("dress", "드레스", "连衣裙", "ワンピース"),
    ("jumpsuit", "점프수트", "连体裤", "ジャンプスーツ"),
    ("swimwear", "수영복", "泳装", "水着"),
    ("boots", "부츠", "靴子", "ブーツ"),
    ("sneakers", "스니커즈", "运动鞋", "スニーカー"),
    ("flats", "플랫슈즈", "平底鞋", "フラットシューズ"),
    ("pumps", "펌프스", "高跟鞋", "パンプス"),
    ("sandals", "샌들", "凉鞋", "サンダル"),
)
