"""Words for left and right, and for what lies in the middle of a body, in names of points.

Written without accents, as names are compared (`heatkp.sides.names.tokens`).
"""

from __future__ import annotations

SIDES: tuple[tuple[str, str], ...] = (
    ("left l lft lt", "right r rgt rght rt"),
    ("links linke linker linkes linken linkem linkse lks li",
     "rechts rechte rechter rechtes rechten rechtem rechtse re"),  # German, Dutch
    ("gauche gauches", "droit droite droits droites"),  # French
    ("izquierdo izquierda izquierdos izquierdas izq izqdo izqda izdo izda",
     "derecho derecha derechos derechas der dcho dcha"),  # Spanish
    ("sinistro sinistra sinistri sinistre sx", "destro destra destri destre dx"),  # Italian
    ("esquerdo esquerda esquerdos esquerdas esq", "direito direita direitos direitas dir"),
    ("vanster vanstra venstre", "hoger hogra hojre hoyre hogre"),  # Swedish, Danish, Norwegian
    ("lewy lewa lewe lewego lewej levy leva leve levi levo lijevi lijeva lijevo lavy lava lave",
     "prawy prawa prawe prawego prawej pravy prava prave pravi pravo desni desna desno"),  # Slavic
    ("левый левая левое левые лев лева лево лива ливии лиле", "правый правая правое правые прав "
     "права право праве правии"),
    ("sol", "sag"),  # Turkish
    ("vasen vasemman", "oikea oikean"),  # Finnish
    ("bal", "jobb"),  # Hungarian
    ("stang stanga stangul", "drept dreapta dreptul"),  # Romanian
    ("αριστερο αριστερα αριστερος αριστερη", "δεξιο δεξια δεξιος δεξι"),  # Greek
    ("kiri", "kanan"),  # Indonesian, Malay
    ("左 ひだり 왼 왼쪽 좌측", "右 みぎ 오른 오른쪽 우측"),  # Chinese, Japanese, Korean
)  # fmt: skip
"""Words for left and for right, a pair for each language."""

CHAINS = """
tail spine spinal back backbone vertebra vertebrae neck abdomen thorax body trunk torso belly
schwanz ruecken rucken wirbel wirbelsaule wirbelsaeule hals nacken korper koerper bauch
queue dos colonne cou cola rabo espalda columna cuello coda schiena collo cauda costas coluna
pescoco staart rug nek ruggengraat svans rygg hale ryg nakke nacke kropp ogon ogona grzbiet szyja
tulow ocas zada krk kuyruk sirt boyun hanta selka kaula хвост хвоста спина спины шея шеи позвоночник
尾 尾巴 背 背中 脊柱 颈 頸 首 脖子 脖 しっぽ 꼬리 등 목
"""
"""What runs along the middle of a body; several of its points are numbered."""

ORGANS = """
nose snout muzzle beak bill rostrum philtrum mouth lips lip tongue jaw chin throat forehead head
face skull crown nape withers wither poll croup rump loin dock anus cloaca vent breast chest sternum
keel navel bellybutton umbilicus waist pelvis sacrum coccyx crotch root proboscis clypeus pronotum
scutellum notum carapace cephalothorax prosoma opisthosoma mesosoma metasoma telson stinger sting
blowhole nasion subnasale pronasale glabella pogonion menton gnathion stomion bregma lambda larynx
nase nasen schnauze schnauzen maul mund lippe lippen zunge zungen kinn kehle stirn kopf brust
becken nabel scheitel widerrist schnabel
nez museau bouche langue gorge tete poitrine bassin nombril bec garrot
nariz hocico boca lengua barbilla menton garganta frente cabeza pecho ombligo pico cruz
naso muso bocca lingua mento gola fronte testa petto bacino ombelico becco garrese
focinho queixo cabeca peito umbigo bico
neus snuit mond kin voorhoofd hoofd borst bekken navel snavel schoft
nos nasa nese naese nas mun munn haka hage hake hode hoved huvud panna pande panne brost bryst
pysk nosa usta broda glowa glowy czolo klatka miednica cenich tlama brada hlava celo hrud
burun agiz cene bas kafa alin gogus nena kuono suu leuka otsa paa rinta
нос носа рот рта подбородок лоб лба голова головы грудь груди таз
鼻 鼻子 口 嘴 舌 下巴 顎 喉 额 額 头 頭 脸 顔 胸 骨盆 코 입 턱 이마 머리 가슴
"""
"""Single parts in the middle of a body, when nothing says otherwise."""

PLACES = """
top bottom bot upper lower up low high base tip start end root front rear hind back anterior
posterior dorsal ventral superior inferior rostral proximal distal of the point pt joint bone bridge
spitze wurzel ansatz basis oben unten ober unter ende der des vom
bout pointe racine haut bas debut fin bas de du la
punta raiz arriba abajo superior inferior del
ponta raiz cima baixo da do
punta radice alto basso fine della dello dell di
boven onder punt wortel ovre nedre topp spids spets rod rot bas czubek nasada koniec podstawa
koren spicka kok uc ucu dip dibi ust alt
кончик основание корень верх низ
尖 根 顶 頂 上 下 端 部 点 先 の 付け根 끝 위 아래
"""
"""Where on a part a point lies, along the middle."""

MIDDLES = """
mid middle midline midpoint median center centre central centroid centered
mitte mittel zentrum milieu medio mezzo meio midden mitten midt orta keskus srodek stred
центр середина 中 中央 中心 中点 가운데 중앙
"""
"""The middle, of a body and of pairs such as the hips."""

BODIES = """
mouse rat animal fly bee ant fish bird dog cat horse cow pig sheep worm larva person human subject
object insect maus ratte tier fisch vogel hund katze pferd souris raton animale
"""
"""What a body is called: its middle is in the middle, but not every point that has its name."""

DOUBLES = """
hip hips shoulder shoulders eyes ears nostrils brows eyebrows hufte huften huefte hueften schulter
schultern hanche hanches epaule epaules cadera caderas hombro hombros anca anche spalla spalle
髋 臀 肩 어깨 엉덩이 бедра плечи
"""
"""Parts that come in two, between which a point may lie."""

SEVERAL = """
hips shoulders eyes ears nostrils brows eyebrows huften hueften schultern hanches epaules caderas
hombros бедра плечи
"""
"""Those of them that say that both are meant."""

UNPAIRED_FINS = "dorsal anal caudal adipose tail"
"""Which of a fish's fins are single."""

NO_CONTENT = """
point points pt pts p kp kpt keypoint key landmark landmarks lm marker node joint id no nr label
pos x
"""
"""Words that tell nothing of a part."""
